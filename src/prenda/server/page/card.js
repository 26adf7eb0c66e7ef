// The card of one photo.

import { capital, label, model, sortedTypes } from "./model.js";
import { percent, said, text, translate } from "./texts.js";

const FEW_PIXELS = 64; // a picture of fewer is enlarged with visible pixels
const ANOTHER = ":another"; // choice of a type that the model does not know

const typed = new Set(); // types that were typed on this page

export class Card {
  /** @param {object} on Handlers: remove, again, correct(photo, type). */
  constructor(photo, on) {
    this.photo = photo;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find(".remove").addEventListener("click", () => on.remove(photo));
    this.find(".again").addEventListener("click", () => on.again(photo));
    this.find("select").addEventListener("change", ({ target }) => {
      if (target.value === ANOTHER) this.askType();
      else on.correct(photo, target.value);
    });
    this.find(".another").addEventListener("submit", (event) => {
      event.preventDefault();
      const type = knownType(this.find(".another input").value);
      if (type) on.correct(photo, type);
      if (type) this.find("select").focus();
    });
    this.find(".name").textContent = photo.name;
    this.find(".name").title = photo.name;
    this.draw();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  askType() {
    this.find(".another").hidden = false;
    this.find(".another input").focus();
  }

  focus() {
    this.find(".remove").focus();
  }

  /** Write everything that depends on the state of the photo or on the language. */
  draw() {
    const { photo } = this;
    translate(this.element);
    this.element.className = `card ${photo.unsure ? "unsure" : photo.state}`;
    this.find(".remove").setAttribute("aria-label", text("remove", { name: photo.name }));
    this.find(".answer span").textContent = answerWords(photo);
    this.drawPictures();
    this.drawNote();
    this.drawGuesses();
    this.drawWarnings();
    this.drawCorrection();
    this.find(".again").hidden = !(photo.state === "failed" && photo.lost);
  }

  drawPictures() {
    const { photo } = this;
    const [own, seen] = [this.find(".photo"), this.find(".seen")];
    own.alt = text("yoursAlt", { name: photo.name });
    own.hidden = !photo.preview;
    if (photo.preview) own.src = photo.preview;
    this.find(".pictures").hidden = photo.state === "failed" && !photo.preview;
    this.find(".no-preview").hidden = photo.preview !== "";
    this.find(".no-preview").textContent = text("noPreview");
    this.find(".of-network").hidden = photo.state === "failed";
    seen.hidden = !photo.seen;
    seen.alt = text("seenAlt", { name: photo.name });
    if (photo.seen) seen.src = photo.seen;
    for (const picture of [own, seen]) picture.parentElement.classList.toggle("blank", picture.hidden);
    seen.classList.toggle("coarse", model.input?.width < FEW_PIXELS);
  }

  drawNote() {
    const { photo } = this;
    const note = this.find(".note");
    const lines = [];
    if (photo.state === "failed") lines.push(errorWords(photo));
    if (photo.unsure) {
      const type = label(photo.answer.guesses[0].type);
      lines.push(`${capital(said(photo.answer.reason))}.`, text("perhaps", { type }));
    }
    note.hidden = !lines.length;
    note.replaceChildren(...lines.map(paragraph));
  }

  drawGuesses() {
    this.find(".guesses").replaceChildren(...(this.photo.answer?.guesses ?? []).map(bar));
  }

  drawWarnings() {
    const warnings = this.photo.answer?.warnings ?? [];
    this.find(".warnings").hidden = !warnings.length;
    this.find(".warnings").replaceChildren(...warnings.map((warning) => item(`${capital(said(warning))}.`)));
  }

  drawCorrection() {
    const { photo } = this;
    this.find(".correction").hidden = photo.state !== "answered";
    if (photo.state !== "answered") return;
    const select = this.find("select");
    const options = offeredTypes().map((type) => new Option(label(type), type));
    options.push(new Option(text("anotherType"), ANOTHER));
    if (photo.type === null) options.unshift(Object.assign(new Option(text("chooseType"), ""), { disabled: true }));
    select.replaceChildren(...options);
    select.value = photo.type ?? "";
    const words = text(photo.type && !photo.corrected ? "correctSure" : "correct");
    this.find("label span").textContent = words;
    select.setAttribute("aria-label", text("correctName", { words, name: photo.name }));
    this.find(".another").hidden = true;
    this.find(".another input").setAttribute("aria-label", text("anotherName", { name: photo.name }));
    this.find(".kept").textContent = correctionWords(photo);
    this.find(".kept").classList.toggle("wrong", typeof photo.correction === "object" && photo.correction !== null);
  }
}

/** Return the types to choose from: those of the model, and those that were typed on this page. */
function offeredTypes() {
  return [...sortedTypes(), ...typed];
}

/** Return a typed type; one that has the name of another is that one. */
function knownType(words) {
  const name = words.trim();
  const same = (type) => [type, label(type)].some((each) => each.toLowerCase() === name.toLowerCase());
  const known = [...model.types, ...typed].find(same);
  if (!known && name) typed.add(name);
  return known ?? name;
}

/** Return the answer in a word or two. */
export function answerWords(photo) {
  if (photo.state === "waiting" || photo.state === "sending") return text(photo.state);
  if (photo.state === "failed") return text("failed");
  return photo.unsure ? text("unsure") : capital(label(photo.type));
}

/** Return why a photo has no answer, as a sentence. */
export function errorWords({ name, error }) {
  return typeof error === "function" ? error() : `${name} ${said(error)}.`;
}

function correctionWords({ correction }) {
  if (correction === null) return "";
  if (correction === "sending") return text("keeping");
  if (correction === "kept") return text("kept");
  return correction === "here" ? text("correctedHere") : text("notKept", { reason: said(correction) });
}

function bar({ type, probability }) {
  const [name, share, track, fill] = [span("type"), span("share"), span("track"), span("fill")];
  name.textContent = label(type);
  share.textContent = percent(probability);
  fill.style.width = `${100 * probability}%`;
  track.append(fill);
  const line = document.createElement("li");
  line.append(name, " ", share, track);
  return line;
}

function span(name) {
  const element = document.createElement("span");
  element.className = name;
  return element;
}

function paragraph(words) {
  const element = document.createElement("p");
  element.textContent = words;
  return element;
}

function item(words) {
  const element = document.createElement("li");
  element.textContent = words;
  return element;
}
