// Answers as a CSV file and as a ZIP file of sorted photos. The columns are those of `prenda predict --output`.

import { unique, zip } from "./zip.js";

const GUESSES = 3;
const FORMULA = /^[=+\-@\t\r]/; // a spreadsheet computes a cell that starts so (CWE-1236)
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
const FORBIDDEN = /[<>:"/\\|?*\u0000-\u001f\u007f-\u009f]/g; // on one of the common file systems
const RESERVED = /^(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)/i; // names of devices in Windows
const LONGEST = 80; // characters of a folder's name

const HEADER = ["photo", "garment", "confidence", "unsure"]
  .concat(...Array.from({ length: GUESSES }, (_, place) => [`guess_${place + 1}`, `confidence_${place + 1}`]))
  .concat("warnings", "error", "corrected");

/**
 * Return rows as CSV (RFC 4180), after a byte order mark that tells spreadsheets that it is UTF-8.
 *
 * @param {object[]} rows Texts photo, garment, unsure, error and corrected; texts warnings; guesses {garment, confidence}.
 */
export function csv(rows) {
  const lines = [HEADER, ...rows.map(cells)].map((row) => row.map(cell).join(",") + "\r\n");
  return new Blob(["\ufeff", ...lines], { type: "text/csv;charset=utf-8" });
}

function cells(row) {
  const pairs = row.guesses.slice(0, GUESSES).flatMap((guess) => [guess.garment, guess.confidence]);
  while (pairs.length < 2 * GUESSES) pairs.push(null);
  const first = [row.photo, row.garment, row.guesses[0]?.confidence ?? null, row.unsure];
  return [...first, ...pairs, row.warnings.join("; "), row.error, row.corrected];
}

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const visible = value.replace(CONTROLS, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`);
  const safe = FORMULA.test(visible) ? `'${visible}` : visible;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Return photos as a ZIP file with a folder for each type. A second photo of a name gets a number.
 *
 * @param {{file: File, folder: string}[]} photos
 */
export function sorted(photos, onProgress) {
  const taken = new Set();
  const files = photos.map(({ file, folder }) => ({
    name: unique(`${folderName(folder)}/${fileName(file.name)}`, taken),
    blob: file,
    modified: new Date(file.lastModified),
  }));
  return zip(files, onProgress);
}

/** Return a name of one level that every common file system takes, as `prenda predict --sort-into` does. */
function folderName(label) {
  const plain = label.replace(FORBIDDEN, "-").slice(0, LONGEST).replace(/^[ .]+|[ .]+$/g, "");
  if (!plain) return "class";
  return RESERVED.test(plain) ? `${plain}_` : plain;
}

function fileName(name) {
  const plain = name.replace(FORBIDDEN, "-").replace(/^\.+|[ .]+$/g, "");
  return plain || "photo";
}

/** Save a Blob in the browser's downloads. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading it
}
