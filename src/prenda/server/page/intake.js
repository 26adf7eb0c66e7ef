// Ways in: photos that are chosen, taken, dropped (also whole folders) or pasted.

import { text } from "./texts.js";

// In folders, other files are passed over without a word; a file that is named by itself is always tried.
const PHOTO = /\.(jpe?g|jpe|jfif|mpo|a?png|webp|gif|tiff?|bmp|dib|p[pgbn]m|hei[cf]|avif|psd|jp2|jxl)$/i;

let pasted = 0;

/** @param {(files: File[]) => void} take Called with the files of each action; none if a folder held no photo. */
export function listen(take) {
  for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) choosing(button, input, take);
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files.map(named));
  });
  dropping(take);
}

function choosing(buttonId, inputId, take) {
  const input = document.getElementById(inputId);
  document.getElementById(buttonId).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) take([...input.files]);
    input.value = ""; // the same photos may be chosen again
  });
}

function dropping(take) {
  let inside = 0; // elements that the pointer has entered and not left
  const show = () => document.body.classList.toggle("dragging", inside > 0);
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => brings(event) && (inside++, show()));
  addEventListener("dragleave", (event) => brings(event) && (inside--, show()));
  addEventListener("dragover", (event) => brings(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    inside = 0;
    show();
    take(await dropped(event.dataTransfer));
  });
}

/** Return dropped files and those in dropped folders. */
async function dropped(transfer) {
  // The list is empty after the first await, so all entries are taken before.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

/** Add the file of an entry, or the photos in a folder, to `files`. What the browser may not read is left out. */
async function collect(entry, files, inFolder = false) {
  try {
    if (entry.isDirectory) {
      for (const each of await entriesOf(entry.createReader())) await collect(each, files, true);
    } else if (!inFolder || (!entry.name.startsWith(".") && PHOTO.test(entry.name))) {
      files.push(await new Promise((...done) => entry.file(...done)));
    }
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

async function entriesOf(reader) {
  const read = () => new Promise((...done) => reader.readEntries(...done));
  const entries = [];
  for (let part = await read(); part.length; part = await read()) entries.push(...part); // 100 at a time
  return entries;
}

/** Give a picture from the clipboard a name of its own: browsers call each of them image.png. */
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const extension = file.name.slice(file.name.lastIndexOf("."));
  return new File([file], text("pasted", { n: ++pasted }) + extension, { type: file.type });
}
