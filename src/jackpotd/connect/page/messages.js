// What is said over the player's WebSocket, and what is heard there. Nothing here touches the page or the network.

const EVENTS = new Map([
  ["JackpotUpdate", "update"],
  ["JackpotUpdateEvent", "update"],
  ["WinEvent", "win"],
  ["JackpotWinEvent", "win"],
  ["RaffleWinEvent", "raffle-win"],
  ["OptInEvent", "opt-in"],
  ["ResumeGap", "gap"],
]);

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;

/** The address of a player's events, beside the page's own. */
export function eventsAddress(base, { operator, brand, token, currency }) {
  const path = `v1/events/${encodeURIComponent(operator)}/${encodeURIComponent(brand)}`;
  const address = new URL(path, base);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ token, currency }).toString();
  return address.href;
}

/** Asks for everything that happens to the jackpots; after a break with what was missed since the last event. */
export function subscribeRequest(lastEventId) {
  const request = { events: [{ source: "thrillpots", event_type: "*" }] };
  if (lastEventId) request.last_event_id = lastEventId;
  return { SubscribeRequest: request };
}

/** Opts a player in or out; `value`, in the jackpot's currency, only where the jackpot lets players choose. */
export function optInRequest(instanceId, { operator, brand, player, country }, optIn, value) {
  const request = {
    instance_id: instanceId,
    player_id: player,
    brand_id: `${operator}:${brand}`,
    player_country: country,
    opt_in: optIn,
  };
  if (optIn && value !== undefined) request.contribution_value = value;
  return { PlayerOptInRequest: request };
}

/**
 * A message as this page takes it: `{kind, name, data, eventId}`.
 *
 * Kinds are update, win, raffle-win, opt-in, gap, error, and other for what is none of them; null where it is no message.
 */
export function heard(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  if (message === null || typeof message !== "object") return null;
  const name = String(message.msg_name ?? message.event_type ?? "");
  const kind = message.msg_type === "Error" ? "error" : (EVENTS.get(name) ?? "other");
  return { kind, name, data: message.data ?? {}, eventId: message.event_id ?? null };
}

/** The wins that an event tells of, each as `{instanceId, name, pot, player, amount, currency, multipliers, at}`. */
export function winsOf({ kind, data }) {
  const common = {
    instanceId: String(data.instance_id ?? ""),
    name: String(data.jackpot_name ?? ""),
    multipliers: data.currency_multipliers?.multipliers,
    at: Number(data.timestamp ?? 0),
  };
  const own = kind === "win" ? [{ ...data, pot: data.win_pot_id, currency: data.jackpot_currency }] : [];
  const others = (kind === "win" ? data.community_winners : data.winners) ?? [];
  const shared = others.map((each) => ({ ...each, pot: kind === "win" ? "community" : "raffle" }));
  return [...own, ...shared].map((each) => ({
    ...common,
    pot: String(each.pot ?? ""),
    player: String(each.player_id ?? ""),
    amount: Number(each.win_amount ?? 0),
    currency: String(each.currency ?? data.jackpot_currency ?? ""),
  }));
}

/** A player as others may read of them. */
export function masked(player) {
  return player.length > 6 ? `${player.slice(0, 1)}…${player.slice(-3)}` : "a player";
}

/** How long to wait before the next attempt: twice as long each time, up to half a minute, spread by chance. */
export function retryDelayMs(attempt, chance) {
  const longest = Math.min(RETRY_FIRST_MS * 2 ** Math.min(attempt, 16), RETRY_MAX_MS);
  return longest / 2 + (longest / 2) * chance;
}
