// The page: photos come in, go to the server a few at a time, and their answers are shown, filtered and saved.

import { Card, answerWords, errorWords } from "./card.js";
import { saveFolders, saveList } from "./downloads.js";
import { Filters } from "./filters.js";
import * as intake from "./intake.js";
import { describe, isOther, label, learn, model, sortedTypes } from "./model.js";
import { announce, hide, redraw as redrawNotice, show } from "./notice.js";
import { Photo } from "./photo.js";
import { address, preview } from "./pictures.js";
import { Queue } from "./queue.js";
import { LaterError, RefusedError, TokenError, askModel, hasToken, sendCorrection } from "./server.js";
import { chooseLanguage, currentLanguage, percent, said, text, translate } from "./texts.js";
import * as token from "./token.js";

const MOST_BYTES = 128 * 2 ** 20; // of a photo, as for `prenda predict`
const SPOKEN = 3; // so many answers are read out one by one
const RETRY_MODEL = 5_000; // milliseconds
const PASTE = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ V" : "Ctrl + V";

const byId = (id) => document.getElementById(id);
const cards = new Map(); // by photo, in the order in which they came
const filters = new Filters(byId("filters"), applyFilter);
const queue = new Queue({
  sending: (photo) => change(photo, { state: "sending" }),
  waiting: (photo) => change(photo, { state: "waiting" }),
  answered,
  refused: (photo, texts) => change(photo, { state: "failed", error: () => said(texts) }),
  lost: (photo) => change(photo, { state: "failed", error: () => text("notSent", photo), lost: true }),
  blocked,
  resumed: () => {
    hide();
    announce(text("back"));
    loadModel(); // the server may have been started anew with another one
  },
  emptied: finished,
});

let loading = false; // the description of the model
let spoken = []; // photos since the last summary for screen readers

function start() {
  for (const button of document.querySelectorAll(".languages button")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.value);
      announce(""); // what was said last is in the other language
      draw();
    });
  }
  intake.listen(add);
  token.listen(async () => {
    hide();
    await loadModel();
    queue.resume();
  });
  byId("csv").addEventListener("click", () => saveList(shownPhotos()));
  byId("zip").addEventListener("click", () => saveFolders(shownPhotos(), byId("zip")));
  byId("remove-all").addEventListener("click", removeAll);
  addEventListener("online", () => queue.resume());
  draw();
  loadModel();
}

async function loadModel() {
  if (loading) return;
  loading = true;
  try {
    describe(await askModel());
    if (model.token && !hasToken()) blocked("token");
    draw();
  } catch (error) {
    if (error instanceof TokenError) blocked("token");
    else if (error instanceof LaterError) setTimeout(loadModel, RETRY_MODEL);
    else if (error instanceof RefusedError) show(() => said(error.texts));
    else throw error;
  } finally {
    loading = false;
  }
}

// Photos

function add(files) {
  if (!queue.blocked) hide();
  if (!files.length) return show(() => text("noPhotos"));
  const photos = files.map((file) => new Photo(file));
  for (const photo of photos) cards.set(photo, new Card(photo, { remove, again, correct }));
  byId("cards").append(...photos.map((photo) => cards.get(photo).element));
  const [large, others] = [photos.filter(tooLarge), photos.filter((photo) => !tooLarge(photo))];
  for (const photo of large) change(photo, { state: "failed", error: () => sizeWords(photo) });
  for (const photo of others) showPreview(photo);
  spoken.push(...photos);
  announce(text("added", { n: photos.length }));
  queue.add(others);
  if (!others.length) finished();
  drawState();
}

function tooLarge({ file }) {
  return file.size > MOST_BYTES;
}

function sizeWords({ name, file }) {
  return text("tooLarge", { name, n: Math.round(file.size / 2 ** 20) });
}

async function showPreview(photo) {
  const found = await preview(photo.file);
  if (photo.removed) return found && URL.revokeObjectURL(found);
  change(photo, { preview: found ?? "" });
}

function answered(photo, answer, by) {
  if (photo.removed) return;
  learn(answer);
  const seen = answer.picture ? address(answer.picture) : null;
  change(photo, { state: answer.error ? "failed" : "answered", answer, error: answer.error, seen });
  if (isOther(by)) loadModel();
}

function change(photo, values) {
  if (photo.removed) return;
  Object.assign(photo, values);
  const card = cards.get(photo);
  card.draw();
  if (values.state) card.element.hidden = photo.done && !filters.shows(photo); // a corrected one stays in sight
  drawState();
}

function again(photo) {
  change(photo, { state: "waiting", error: null, lost: false, tries: 0 });
  queue.add([photo]);
}

async function correct(photo, type) {
  if (!model.corrections) return change(photo, { corrected: type, correction: "here" });
  change(photo, { corrected: type, correction: "sending" });
  let result = "kept";
  try {
    await sendCorrection(photo.file, type);
  } catch (error) {
    if (error instanceof TokenError) token.ask();
    result = error.texts ?? {};
  }
  change(photo, { correction: result });
  if (!photo.removed) announce(cards.get(photo).find(".kept").textContent);
}

function remove(photo) {
  const shown = [...cards.keys()].filter((each) => !cards.get(each).element.hidden);
  const next = shown[shown.indexOf(photo) + 1] ?? shown[shown.indexOf(photo) - 1];
  forget(photo);
  if (next) cards.get(next).focus();
  else byId("choose").focus();
  drawState();
}

function removeAll() {
  for (const photo of [...cards.keys()]) forget(photo);
  filters.chosen = ":all";
  byId("choose").focus();
  drawState();
}

function forget(photo) {
  queue.remove(photo);
  cards.get(photo).element.remove();
  cards.delete(photo);
  photo.remove();
}

// The queue

function blocked(reason, { seconds, busy } = {}) {
  const press = { label: () => text("tryAgain"), press: () => queue.resume() };
  if (reason === "later") show(() => text(busy ? "busy" : "away", { n: seconds }), press);
  if (reason === "stopped") show(() => text("stopped"), press);
  if (reason === "token") {
    show(() => text("tokenNeeded"), { label: () => text("tokenEnter"), press: token.ask });
    token.ask();
  }
}

function finished() {
  const done = spoken.filter((photo) => photo.done && !photo.removed);
  spoken = [];
  if (!done.length) return;
  const many = done.length > SPOKEN;
  announce(many ? text("finished", { n: done.length, parts: parts(done) }) : done.map(spokenAnswer).join(" "));
}

function spokenAnswer(photo) {
  if (photo.state === "failed") return `${answerWords(photo)}: ${errorWords(photo)}`;
  return `${photo.name}: ${answerWords(photo)}, ${percent(photo.answer.guesses[0].probability)}.`;
}

function parts(photos) {
  const counts = {
    answeredPart: photos.filter((photo) => photo.type).length,
    unsurePart: photos.filter((photo) => photo.unsure).length,
    failedPart: photos.filter((photo) => photo.state === "failed").length,
  };
  return Object.entries(counts).filter(([, n]) => n).map(([key, n]) => text(key, { n })).join(", ");
}

// Saving

function shownPhotos() {
  return [...cards.keys()].filter((photo) => photo.done && filters.shows(photo));
}

// Drawing

function applyFilter() {
  for (const [photo, card] of cards) card.element.hidden = !filters.shows(photo);
  drawState();
}

/** Write everything, in the current language. */
function draw() {
  document.documentElement.lang = currentLanguage();
  document.title = text("title");
  translate(document);
  for (const button of document.querySelectorAll(".languages button")) {
    button.setAttribute("aria-pressed", String(button.value === currentLanguage()));
  }
  byId("paste").textContent = text("paste", { key: PASTE });
  drawModel();
  for (const card of cards.values()) card.draw();
  redrawNotice();
  drawState();
}

function drawModel() {
  const types = sortedTypes().map((type) => Object.assign(document.createElement("li"), { textContent: label(type) }));
  byId("types").replaceChildren(...types);
  const privacy = text(model.corrections ? "privacyCorrections" : "privacy");
  for (const line of document.querySelectorAll(".privacy")) line.textContent = privacy;
  const lines = model.name ? [text("model", model), text("sees", model.input)] : [];
  byId("model").textContent = lines.join(". ");
}

function drawState() {
  const photos = [...cards.keys()];
  const done = photos.filter((photo) => photo.done);
  document.body.classList.toggle("empty", !photos.length);
  byId("cards").classList.toggle("single", photos.length === 1);
  byId("progress").max = photos.length || 1;
  byId("progress").value = done.length;
  byId("progress").hidden = done.length === photos.length;
  byId("summary").textContent = summary(photos, done);
  byId("csv").disabled = !done.length;
  byId("zip").disabled = !done.length;
  filters.draw(photos);
}

function summary(photos, done) {
  if (done.length < photos.length) return text("working", { done: done.length, n: photos.length });
  return photos.length ? `${text("photos", { n: photos.length })}: ${parts(photos)}` : "";
}

start();
