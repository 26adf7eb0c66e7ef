// One photo of the list: its file, its answer and its correction.

export const UNSURE = ":unsure"; // groups beside the types, whose names are the model's
export const FAILED = ":failed";

export class Photo {
  state = "waiting"; // then "sending", then "answered" or "failed"
  answer = null;
  error = null; // texts of the answer, without a subject; or a function that gives a sentence
  lost = false; // whether the photo never reached the server
  corrected = null; // a type
  correction = null; // "sending", "kept", "here" or texts of why it was not kept
  removed = false;
  preview = null; // address of a small copy
  seen = null; // address of the network's picture

  constructor(file) {
    this.file = file;
    this.name = file.name;
  }

  /** The type that counts: the correction, or else the model's; null if there is none. */
  get type() {
    return this.corrected ?? this.answer?.type ?? null;
  }

  get unsure() {
    return this.state === "answered" && this.type === null;
  }

  /** What the filter shows it under; null before the answer. */
  get group() {
    if (this.state === "failed") return FAILED;
    return this.state === "answered" ? this.type ?? UNSURE : null;
  }

  get done() {
    return this.state === "answered" || this.state === "failed";
  }

  /** Free what the browser keeps for this photo. */
  remove() {
    this.removed = true;
    for (const address of [this.preview, this.seen]) if (address) URL.revokeObjectURL(address);
  }
}
