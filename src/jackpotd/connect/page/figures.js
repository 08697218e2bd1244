// Figures that move to their next value instead of jumping there, all in one loop of animation frames.

import { formatted } from "./money.js";

// A little less than the interval of updates, so that a figure has arrived when the next one comes.
const MOVE_MS = 1800;

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const moving = new Set();
let isRunning = false;

/** One figure on the page. It falls at once, as a pot that was won does, and rises in time. */
export class Figure {
  #element;
  #from = null;
  #to = null;
  #currency = "";
  #startedMs = 0;

  constructor(element) {
    this.#element = element;
  }

  show(amount, currency) {
    const now = performance.now();
    const isRise = this.#to !== null && amount > this.#to && currency === this.#currency;
    this.#from = isRise && !calm.matches ? this.#at(now) : amount;
    this.#to = amount;
    this.#currency = currency;
    this.#startedMs = now;
    if (this.#from === this.#to) {
      moving.delete(this);
      this.#write(amount);
    } else {
      moving.add(this);
      if (!isRunning) requestAnimationFrame(step);
      isRunning = true;
    }
  }

  /** Moves on; whether there is still a way to go. */
  move(now) {
    this.#write(this.#at(now));
    return now - this.#startedMs < MOVE_MS;
  }

  #at(now) {
    const part = Math.min(Math.max((now - this.#startedMs) / MOVE_MS, 0), 1);
    return this.#from + (this.#to - this.#from) * part;
  }

  #write(amount) {
    const text = formatted(amount, this.#currency);
    if (this.#element.textContent !== text) this.#element.textContent = text;
  }
}

function step(now) {
  for (const figure of moving) {
    if (!figure.move(now)) moving.delete(figure);
  }
  isRunning = moving.size > 0;
  if (isRunning) requestAnimationFrame(step);
}
