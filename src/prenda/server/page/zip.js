// A writer of ZIP files: stored without compression, names in UTF-8 (APPNOTE.TXT 6.3.10, sections 4.3 and 4.4).
// Files are read once for their CRC-32 and are otherwise only referred to, so memory does not grow with them.

const MOST_FILES = 65_534; // one less than the number that announces ZIP64
const MOST_BYTES = 2 ** 32 - 2;
const UTF8 = 0x0800;
const VERSION = 20;
const PIECE = 4 * 2 ** 20; // bytes that are read at once

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export class TooLargeError extends Error {}

/** A file that can no longer be read. */
export class GoneError extends Error {
  constructor(name) {
    super(name);
    this.name = name;
  }
}

/**
 * Return a ZIP file as a Blob.
 *
 * @param {{name: string, blob: Blob, modified: Date}[]} files Names with slashes between folders; must be unique.
 * @param {(done: number) => void} onProgress Called after each file.
 */
export async function zip(files, onProgress = () => {}) {
  if (files.length > MOST_FILES || size(files) > MOST_BYTES) throw new TooLargeError();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [place, file] of files.entries()) {
    const name = new TextEncoder().encode(file.name);
    const fields = common(file, await checksum(file), name.length);
    const header = [record(0x04034b50, fields), name];
    parts.push(...header, file.blob);
    directory.push(record(0x02014b50, [[2, VERSION], ...fields, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), name);
    offset += bytes(header) + file.blob.size;
    onProgress(place + 1);
  }
  const count = files.length;
  const end = [[2, 0], [2, 0], [2, count], [2, count], [4, bytes(directory)], [4, offset], [2, 0]];
  return new Blob([...parts, ...directory, record(0x06054b50, end)], { type: "application/zip" });
}

/** Return a name that is not in `taken`, with a number before its extension if needed, and add it. */
export function unique(name, taken) {
  const dot = name.lastIndexOf(".");
  const end = dot > name.lastIndexOf("/") + 1 ? dot : name.length;
  let free = name;
  for (let number = 2; taken.has(free.toLowerCase()); number++) {
    free = `${name.slice(0, end)} (${number})${name.slice(end)}`;
  }
  taken.add(free.toLowerCase()); // file systems of Windows and macOS do not tell capitals apart
  return free;
}

function size(files) {
  const names = files.reduce((total, file) => total + new TextEncoder().encode(file.name).length, 0);
  return files.reduce((total, file) => total + file.blob.size + 30 + 46, 22) + 2 * names;
}

/** Return the fields that a file's header and its entry in the directory share, as [bytes, value]. */
function common(file, crc, nameLength) {
  const [date, time] = dosTime(file.modified);
  const size = file.blob.size;
  const sizes = [[4, size], [4, size], [2, nameLength], [2, 0]];
  return [[2, VERSION], [2, UTF8], [2, 0], [2, time], [2, date], [4, crc], ...sizes];
}

function record(signature, fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((total, [length]) => total + length, 4)));
  view.setUint32(0, signature, true);
  let offset = 4;
  for (const [length, value] of fields) {
    if (length === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    offset += length;
  }
  return new Uint8Array(view.buffer);
}

function bytes(arrays) {
  return arrays.reduce((total, array) => total + array.length, 0);
}

async function checksum(file) {
  let value = 0xffffffff;
  try {
    for (let start = 0; start < file.blob.size; start += PIECE) {
      value = updated(value, new Uint8Array(await file.blob.slice(start, start + PIECE).arrayBuffer()));
    }
  } catch {
    throw new GoneError(file.name.slice(file.name.lastIndexOf("/") + 1));
  }
  return (value ^ 0xffffffff) >>> 0;
}

/** Return a CRC-32 after more bytes. An index is several times faster here than for … of. */
function updated(crc, bytes) {
  let value = crc;
  for (let place = 0; place < bytes.length; place++) value = TABLE[(value ^ bytes[place]) & 0xff] ^ (value >>> 8);
  return value;
}

/** Return date and time as MS-DOS keeps them: years from 1980 to 2107, every second second. */
function dosTime(modified) {
  const year = Math.min(Math.max(modified.getFullYear(), 1980), 2107);
  const date = ((year - 1980) << 9) | ((modified.getMonth() + 1) << 5) | modified.getDate();
  return [date, (modified.getHours() << 11) | (modified.getMinutes() << 5) | (modified.getSeconds() >> 1)];
}
