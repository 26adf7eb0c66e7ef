// Photos on their way to the server: a few at a time, again when the server was away.

import { LaterError, RefusedError, TokenError, askAnswers, isUp } from "./server.js";

const AT_ONCE = 4; // photos of a request
const MOST_BYTES = 16 * 2 ** 20; // of a request, unless one photo alone is larger
const REQUESTS = 2; // in flight
const WAITS = [1, 2, 4, 8, 15, 15, 15, 15, 15, 15]; // seconds before each try, while the server is away
const LONGEST_WAIT = 120; // seconds, whatever Retry-After asks for
const TRIES = 3; // of a photo that the server does not take although it is up

export class Queue {
  #waiting = [];
  #requests = 0;
  #failures = 0;
  #timer = null;
  #blocked = null; // null, "later", "stopped" or "token"

  /** @param {object} on Handlers: sending, waiting, answered, refused, lost, blocked, resumed, emptied. */
  constructor(on) {
    this.on = on;
  }

  /** Whether something has to happen before photos are sent. */
  get blocked() {
    return this.#blocked !== null;
  }

  add(photos) {
    this.#waiting.push(...photos);
    this.#start();
  }

  remove(photo) {
    this.#waiting = this.#waiting.filter((each) => each !== photo);
  }

  resume() {
    clearTimeout(this.#timer);
    if (this.#blocked === "stopped") this.#failures = 1; // it has stopped counting: wait as after the first failure
    this.#blocked = null;
    this.#start();
  }

  #start() {
    while (!this.#blocked && this.#requests < REQUESTS && this.#waiting.length) this.#send(this.#next());
  }

  /** Take the next photos; one that was refused with others goes alone. */
  #next() {
    const taken = [this.#waiting.shift()];
    let bytes = taken[0].file.size;
    while (!taken[0].alone && taken.length < AT_ONCE && this.#waiting.length && !this.#waiting[0].alone) {
      bytes += this.#waiting[0].file.size;
      if (bytes > MOST_BYTES) break;
      taken.push(this.#waiting.shift());
    }
    return taken;
  }

  async #send(photos) {
    this.#requests++;
    for (const photo of photos) this.on.sending(photo);
    try {
      const { answers, model } = await askAnswers(photos.map((photo) => photo.file));
      this.#recovered();
      photos.forEach((photo, place) => this.on.answered(photo, answers[place], model));
    } catch (error) {
      await this.#again(photos, error);
    }
    this.#requests--;
    this.#start();
    if (!this.#requests && !this.#waiting.length) this.on.emptied();
  }

  async #again(photos, error) {
    if (error instanceof RefusedError) return this.#refused(photos, error.texts);
    if (error instanceof TokenError) this.#block("token");
    else if (!(error instanceof LaterError)) throw error;
    else if (!error.busy && (await isUp())) return this.#lost(photos);
    else this.#later(error);
    this.#putBack(photos);
  }

  /** A server that is up broke the connection: the photos may be too large for it, or no longer be there. */
  #lost(photos) {
    const last = photos.length === 1 && (photos[0].tries = (photos[0].tries ?? 0) + 1) >= TRIES;
    if (last) this.on.lost(photos[0]);
    else this.#putBack(photos.map((photo) => Object.assign(photo, { alone: true })));
  }

  #refused(photos, texts) {
    if (photos.length === 1) this.on.refused(photos[0], texts);
    else this.#putBack(photos.map((photo) => Object.assign(photo, { alone: true })));
  }

  #later({ seconds, busy }) {
    if (this.#blocked) return; // the other request failed first
    const wait = Math.min(Math.max(seconds, WAITS[this.#failures] ?? 0), LONGEST_WAIT);
    this.#failures++;
    if (this.#failures > WAITS.length) return this.#block("stopped");
    this.#block("later", { seconds: wait, busy });
    this.#timer = setTimeout(() => this.resume(), wait * 1000);
  }

  #block(reason, details = {}) {
    this.#blocked = reason;
    this.on.blocked(reason, details);
  }

  #recovered() {
    const failed = this.#failures > 0;
    this.#failures = 0;
    if (failed) this.on.resumed();
  }

  #putBack(photos) {
    const kept = photos.filter((photo) => !photo.removed);
    for (const photo of kept) this.on.waiting(photo);
    this.#waiting.unshift(...kept);
  }
}
