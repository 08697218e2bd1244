// The ticker page: reads the jackpots of a brand, follows them over the player's WebSocket, and shows what happens.

import { Card } from "./cards.js";
import { Connection } from "./connection.js";
import { optInRequest, winsOf } from "./messages.js";
import { Wins } from "./wins.js";

// Those of the demo data.
const DEFAULTS = {
  operator: "thrilltech",
  brand: "brand1",
  token: "token_00001",
  player: "player_00001",
  country: "MT",
  currency: "EUR",
};
const ANSWER_MS = 10_000;

const base = new URL(".", document.baseURI);
const place = document.getElementById("jackpots");

/** A read of Connect's REST API; null where there is nothing, as for a source without a jackpot. */
async function read(path) {
  const response = await fetch(new URL(path, base), { headers: { Accept: "application/json" } });
  if (response.ok) return response.json();
  if (response.status < 500) return null;
  throw new Error(`${path} answered ${response.status}`);
}

/** What one player of one brand sees, from `start` to `stop`. */
class Ticker {
  #options;
  #multipliers = {};
  #cards = new Map();
  #wins;
  #connection = null;
  #asked = []; // cards whose switch waits for its answer, in the order of the requests
  #isRead = false;
  #isStopped = false;

  constructor(options) {
    this.#options = options;
    this.#wins = new Wins(options.currency, options.player);
    place.replaceChildren();
  }

  async start() {
    await this.#refresh();
    if (this.#isStopped) return;
    this.#connection = new Connection(
      base,
      this.#options,
      (message) => this.#take(message),
      (state, delayMs) => this.#showState(state, delayMs),
    );
  }

  stop() {
    this.#isStopped = true;
    this.#connection?.stop();
  }

  /** Reads what the jackpots are called and what the player may decide; tried again once there is a connection. */
  async #refresh() {
    try {
      await this.#readAll();
      this.#isRead = true;
      notice("");
    } catch (error) {
      this.#isRead = false;
      notice(`The jackpots could not be read: ${error.message}`);
    }
  }

  async #readAll() {
    const brand = `${this.#options.operator}:${this.#options.brand}`;
    const [currencies, sources] = await Promise.all([
      read("v1/currencies"),
      read(`v1/thrillpots/sources?${new URLSearchParams({ owner_id: brand })}`),
    ]);
    this.#multipliers = currencies?.multipliers ?? {};
    offerCurrencies(Object.keys(this.#multipliers));
    const found = await Promise.all((sources ?? []).map((source) => this.#readInstance(source, brand)));
    if (this.#isStopped) return;
    for (const { source, instance } of found) {
      if (instance !== null) this.#place(instance, source.source_name);
    }
  }

  async #readInstance(source, brand) {
    const path = `v1/thrillpots/instances/source/${encodeURIComponent(source.source_id)}/brand/${encodeURIComponent(brand)}`;
    const { player, country } = this.#options;
    const query = new URLSearchParams({ player_id: player, country_code: country });
    return { source, instance: await read(`${path}?${query}`) };
  }

  #place(instance, name) {
    const card = this.#card(instance.id, name);
    card.rename(name);
    card.show(instance, this.#multipliers);
    card.offer(instance);
  }

  #card(id, name) {
    if (!this.#cards.has(id)) {
      const ask = (card, optIn, value) => this.#askOptIn(card, optIn, value);
      const card = new Card(id, name, this.#options.currency, ask);
      this.#cards.set(id, card);
      place.append(card.element);
    }
    return this.#cards.get(id);
  }

  #take(message) {
    switch (message.kind) {
      case "update":
        return this.#update(message.data);
      case "win":
      case "raffle-win":
        return this.#won(message);
      case "opt-in":
        return this.#optedIn(message.data);
      case "error":
        return this.#refused(message);
      case "gap":
        return this.#missed();
    }
  }

  /** A jackpot that no source of the brand leads to is linked to one: it has no name of its own until it is won. */
  #update(data) {
    this.#card(data.id, `Linked jackpot ${String(data.id).slice(0, 8)}`).show(data, this.#multipliers);
  }

  #won(message) {
    const wins = winsOf(message);
    const titleOf = (win) => this.#cards.get(win.instanceId)?.title ?? win.name;
    for (const card of wins.slice(0, 1).map((win) => this.#cards.get(win.instanceId))) {
      if (card?.title.startsWith("Linked jackpot ") && wins[0].name) card.rename(wins[0].name);
      card?.celebrate(wins.map((win) => win.pot));
    }
    this.#wins.show(wins, this.#multipliers, titleOf);
  }

  #askOptIn(card, optIn, value) {
    if (!this.#connection?.isOpen) return card.problem("Not connected: try again in a moment.");
    card.problem("");
    card.waiting(true);
    this.#connection.send(optInRequest(card.id, this.#options, optIn, value));
    const timeout = setTimeout(() => this.#answered(card, "No answer came. Try again."), ANSWER_MS);
    this.#asked.push({ card, timeout });
  }

  #optedIn(data) {
    if (data.player_id !== this.#options.player) return;
    const card = this.#cards.get(data.instance_id);
    if (!card) return;
    card.optedIn(Boolean(data.opted_in));
    this.#answered(card, "");
  }

  /** An error that does not say which jackpot it is about belongs to the one that has waited longest. */
  #refused({ name, data }) {
    const words = [data.message, data.code].filter(Boolean).join(", ") || "The request was refused.";
    const isOptIn = name.startsWith("PlayerOptInRequest");
    const asked = isOptIn && (this.#asked.find(({ card }) => card.id === data.instance_id) ?? this.#asked[0]);
    if (asked) this.#answered(asked.card, words);
    else notice(words);
  }

  #answered(card, problem) {
    const at = this.#asked.findIndex((each) => each.card === card);
    if (at >= 0) clearTimeout(this.#asked.splice(at, 1)[0].timeout);
    card.waiting(false);
    card.problem(problem);
  }

  async #missed() {
    await this.#refresh();
    if (this.#isRead) notice("Some wins happened while this page was not connected, too long ago to be shown.");
  }

  #showState(state, delayMs) {
    const words = {
      connecting: "Connecting…",
      open: "Live",
      waiting: `Not connected. Trying again in ${Math.max(1, Math.round(delayMs / 1000))} s`,
    };
    const line = document.getElementById("connection");
    line.dataset.state = state;
    if (line.textContent !== words[state]) line.textContent = words[state];
    if (state === "open" && !this.#isRead) this.#refresh();
    if (state === "waiting") {
      for (const { card } of [...this.#asked]) this.#answered(card, "The connection was lost. Try again.");
    }
  }
}

function notice(text) {
  const line = document.getElementById("notice");
  line.textContent = text;
  line.hidden = text === "";
}

function offerCurrencies(codes) {
  const options = codes.map((code) => {
    const option = document.createElement("option");
    option.value = code;
    return option;
  });
  document.getElementById("currencies").replaceChildren(...options);
}

/** What is to be watched: the page's address says it, else the demo's. */
function optionsOf(address) {
  const given = new URLSearchParams(address.search);
  const options = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) options[name] = given.get(name)?.trim() || DEFAULTS[name];
  // In the demo token_00007 is player_00007; any other player says who they are.
  if (!given.get("player")) options.player = playerOf(options.token) ?? options.player;
  return options;
}

function playerOf(token) {
  const number = /^token_(\d+)$/.exec(token)?.[1];
  return number && `player_${number}`;
}

let ticker = null;

function watch(options) {
  ticker?.stop();
  const { player, operator, brand, currency } = options;
  document.getElementById("who").textContent = `${player} at ${operator}:${brand}, in ${currency}`;
  ticker = new Ticker(options);
  ticker.start();
}

const form = document.getElementById("options");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const options = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) options[name] = form.elements[name].value.trim();
  options.currency = options.currency.toUpperCase();
  // A session's token is a secret: it is never written into the address, which is kept and shared.
  const { token: _secret, ...shared } = options;
  history.replaceState(null, "", `?${new URLSearchParams(shared)}`);
  document.getElementById("settings").open = false;
  watch(options);
});

form.elements.token.addEventListener("change", () => {
  const player = playerOf(form.elements.token.value.trim());
  if (player) form.elements.player.value = player;
});

const first = optionsOf(window.location);
for (const [name, value] of Object.entries(first)) form.elements[name].value = value;
watch(first);
