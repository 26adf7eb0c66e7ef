// The buttons that save the answers of photos.

import { errorWords } from "./card.js";
import { label } from "./model.js";
import { announce, show } from "./notice.js";
import { csv, save, sorted } from "./saving.js";
import { said, text } from "./texts.js";
import { GoneError, TooLargeError } from "./zip.js";

export function saveList(photos) {
  const name = fileName("csv");
  save(csv(photos.map(row)), name);
  announce(text("saved", { name }));
}

/** Save photos in a folder for each type. Those that could not be read are left out. */
export async function saveFolders(photos, button) {
  const read = photos.filter((photo) => photo.state === "answered");
  if (!read.length) return show(() => text("zipEmpty"));
  const words = button.querySelector(".what");
  button.disabled = true;
  try {
    const progress = (done) => (words.textContent = text("zipping", { done, n: read.length }));
    const name = fileName("zip");
    save(await sorted(read.map((photo) => ({ file: photo.file, folder: garment(photo) })), progress), name);
    announce(text("saved", { name }));
  } catch (error) {
    if (error instanceof TooLargeError) show(() => text("zipTooLarge"));
    else if (error instanceof GoneError) show(() => text("zipGone", { name: error.name }));
    else throw error;
  } finally {
    button.disabled = false;
    words.textContent = text("zip");
  }
}

function garment(photo) {
  return photo.unsure ? text("folderUnsure") : label(photo.type);
}

function row(photo) {
  const { answer } = photo;
  const failed = photo.state === "failed";
  return {
    photo: photo.name,
    garment: failed ? null : garment(photo),
    unsure: photo.unsure ? said(answer.reason) : null,
    guesses: (answer?.guesses ?? []).map(({ type, probability }) => ({ garment: label(type), confidence: probability })),
    warnings: (answer?.warnings ?? []).map(said),
    error: failed ? errorWords(photo) : null,
    corrected: photo.corrected && label(photo.corrected),
  };
}

function fileName(extension) {
  const now = new Date();
  const [month, day] = [now.getMonth() + 1, now.getDate()].map((value) => String(value).padStart(2, "0"));
  return `prenda-${now.getFullYear()}-${month}-${day}.${extension}`;
}
