// One player's WebSocket, held open: after a break it comes back, and asks for what was missed meanwhile.

import { eventsAddress, heard, retryDelayMs, subscribeRequest } from "./messages.js";

// Updates come every few seconds: a connection that has told of some and then falls silent is dead.
const SILENCE_MS = 30_000;

/**
 * @param base      address that the events' path is relative to
 * @param options   operator, brand, token, currency
 * @param onMessage called with each message, as `heard` makes it
 * @param onState   called with "connecting", "open" or "waiting", and with the milliseconds that are waited
 */
export class Connection {
  #base;
  #options;
  #onMessage;
  #onState;
  #socket = null;
  #attempt = 0;
  #lastEventId = null;
  #retry = 0;
  #silence = 0;
  #isStopped = false;

  constructor(base, options, onMessage, onState) {
    this.#base = base;
    this.#options = options;
    this.#onMessage = onMessage;
    this.#onState = onState;
    window.addEventListener("online", this.#atOnce);
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  stop() {
    this.#isStopped = true;
    window.removeEventListener("online", this.#atOnce);
    this.#quiet();
    this.#socket?.close();
  }

  #connect() {
    this.#quiet();
    this.#onState("connecting", 0);
    const socket = new WebSocket(eventsAddress(this.#base, this.#options));
    this.#socket = socket;
    socket.addEventListener("open", () => {
      if (this.#isStopped) return socket.close();
      this.send(subscribeRequest(this.#lastEventId));
      this.#onState("open", 0);
    });
    socket.addEventListener("message", ({ data }) => {
      if (!this.#isStopped && socket === this.#socket) this.#take(data);
    });
    socket.addEventListener("close", () => {
      if (!this.#isStopped && socket === this.#socket) this.#wait();
    });
  }

  #take(text) {
    const message = heard(text);
    if (message === null) return;
    this.#attempt = 0; // whoever is told something is welcome: the next break begins with a short wait again
    this.#lastEventId = message.eventId ?? this.#lastEventId;
    if (message.kind === "update") {
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => this.#connectAnew(), SILENCE_MS);
    }
    this.#onMessage(message);
  }

  #wait() {
    this.#quiet();
    const delayMs = retryDelayMs(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#onState("waiting", delayMs);
    this.#retry = setTimeout(() => this.#connect(), delayMs);
  }

  #connectAnew() {
    const silent = this.#socket;
    this.#connect();
    silent.close();
  }

  // The machine is back on a network: waiting longer helps nobody.
  #atOnce = () => {
    if (this.#socket?.readyState === WebSocket.CLOSED) this.#connect();
  };

  #quiet() {
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
  }
}
