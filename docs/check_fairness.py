"""Checks every draw in a file that `jackpotd fairness export` wrote; fairness.md beside it says how draws are made.

python check_fairness.py export.jsonl -> exit status 0: fair; 1: the first thing that is not, in words
"""

import hashlib
import json
import sys
from bisect import bisect_right
from collections import Counter
from decimal import Decimal, getcontext
from functools import lru_cache
from itertools import accumulate
from types import SimpleNamespace

getcontext().prec, ONE = 80, 10**8

def require(is_so, *words):
    if not is_so:
        raise ValueError(" ".join(map(str, words)))

class Secret(bytes):
    @lru_cache(maxsize=10_000)
    def stream(self, label, block, length):
        start = b"jackpotd stream 1\0" + self + label.encode() + b"\0" + block.to_bytes(8, "big")
        return hashlib.shake_256(start).digest(length)

    def draw(self, point, place):
        block, at = divmod(place, 256)
        return int.from_bytes(self.stream(f"hit {point}", block, 2048)[8 * at : 8 * at + 8], "big")

    def below(self, bound, label, block=0):
        words = [int.from_bytes(self.stream(label, block, 128)[at : at + 16], "big") for at in range(0, 128, 16)]
        found = [word % bound for word in words if word < 2**128 // bound * bound]
        return found[0] if found else self.below(bound, label, block + 1)

@lru_cache(maxsize=100_000)
def threshold(outcomes, cost, worth):
    """The chance of a hit, 1 - (1 - 1/outcomes)^(worth/cost), in 2^64, to far more digits than are used."""
    if not cost or not worth:
        return Decimal(0 if cost else 2**64 // outcomes)
    return 2**64 * (1 - (1 - 1 / Decimal(outcomes)) ** (Decimal(worth) / cost))

def payable(units, who):
    """What can be paid of a sum in the player's currency, down to its minor unit, and what that is in the jackpot's."""
    (mine, its), step = who["rates"], who["minor_unit"]
    win = units * mine // its // step * step
    paid, rest = divmod(win * its, mine)
    return win, min(paid + (2 * rest > mine or (2 * rest == mine and paid % 2)), units)

def name(line):
    return line["brand"], line["player"]

def window_at(point, at_ms):
    index = (at_ms - point["start_ms"]) // point["every_ms"]
    return SimpleNamespace(index=index, is_done=False, total=0, candidate=None)

class Jackpot:  # a method for each type of line
    def __init__(self, line, secrets):
        self.secrets, self.id, self.at_ms, self.number = secrets, line["instance"], line["created_ms"], 0
        self.players, self.totals, self.board, self.pots = {}, Counter(), {}, {}
        self.schedules, self.running, self.rounds, self.over_ms, self.status = {"": line.get("schedule")}, {}, 0, 0, ""
        for rules in line["rules"]["pots"]:
            pot = self.pots[rules["id"]] = SimpleNamespace(id=rules["id"], name=f"{self.id} {rules['id']}", rules={})
            vars(pot).update(number=0, value=0, seal=None, secret=None, is_open=True, is_due=False, was_won=False)
            pot.totals, pot.board, pot.checked, pot.kept = Counter(), {}, Counter(), None
        self.rules({**line, "at_ms": self.at_ms})

    def rules(self, line):
        self.law, self.raffle, self.seats = line["rules"], line["rules"].get("raffle"), 0
        for rules in self.law["pots"]:
            pot = self.pots[rules["id"]]
            if pot.rules.get("hidden_times") != rules["hidden_times"]:
                pot.windows = [window_at(point, line["at_ms"]) for point in rules["hidden_times"]]
            kept = 1 + sum(each["winners"] for each in rules["community"])  # the winner may be on a board, too
            kinds = [each["kind"] for each in rules["community"]]
            self.seats = max(self.seats, kept if "HighestLifetimeContributor" in kinds else 0)
            pot.rules, pot.seats = rules, kept if "HighestContributionPerWin" in kinds else 0

    def state(self, line):
        was_won = any(pot.was_won for pot in self.pots.values())
        is_known = all(pot.number for pot in self.pots.values())  # else it was won in data of before there were seals
        is_said = "PotWon" in line["after"] or "RoundResolved" in line["after"]
        require(not is_known or is_said == was_won, "a win is not told, or was none")
        is_late = self.running and self.status == "Active" and line["at_ms"] >= self.running["ends_ms"]
        require(not is_late, "a round is over, and was not drawn")
        require(self.status != "Terminated" or line["status"] == self.status, "it was terminated")
        self.status, self.at_ms = line["status"], max(self.at_ms, line["at_ms"])
        for pot in self.pots.values():
            require(pot.kept in (None, line["values"][pot.id]), pot.id, "has not kept what was not paid")
            pot.value, pot.is_open, pot.kept = line["values"][pot.id], pot.id in line["open"], None

    def seal(self, line):
        pot = self.pots[line["pot"]]
        require(pot.seal is None and pot.is_open and line["number"] == pot.number + 1, pot.id, "wants no such seal")
        require(line["first"] == self.number and line["floor"] == pot.value, "it was not made when it says")
        pot.seal, pot.number, pot.checked = line, line["number"], Counter()
        pot.secret = self.secrets.get((self.id, pot.id, pot.number))  # None: not revealed yet
        ranges = [(max(point["low"], line["floor"] + 1), point["high"]) for point in pot.rules["hidden_values"]]
        pot.hidden = pot.secret and [  # above the floor: the pot is not won by what it holds already
            low + pot.secret.below(max(high - low, 0) + 1, f"value {at} 0") for at, (low, high) in enumerate(ranges)
        ]

    def reveal(self, line):
        pot = self.pots[line["pot"]]
        require(pot.seal and line["number"] == pot.number, "there is no such seal")
        data = f"jackpotd seal 1\0{self.id}\0{pot.id}\0{pot.number}\0".encode() + bytes.fromhex(line["secret"])
        require(hashlib.sha256(data).hexdigest() == pot.seal["commitment"], "it is not the secret committed to")
        if self.raffle and not pot.was_won:
            require(self.status == "Terminated" or not self.running, "a secret is revealed before its draw")
            pot.checked["tickets not drawn, because it was terminated"] = self.running["tickets"] if self.running else 0
        print(f"{pot.name} {pot.number} fair:", ", ".join(f"{n} {what}" for what, n in pot.checked.items() if n))
        pot.seal, pot.secret, pot.was_won = None, None, False

    def contribution(self, line):
        require(line["number"] == self.number + 1 and line["at_ms"] >= self.at_ms, "it is not the next one")
        self.number, self.at_ms = line["number"], line["at_ms"]
        own = self.schedules.get(line["brand"]) or self.schedules[""] or {"start_ms": 0, "end_ms": None}
        require((own["start_ms"] or 0) <= self.at_ms < (own["end_ms"] or 2**63), "it is not within the schedule")
        grown = [line["values"][pot.id] - pot.value for pot in self.pots.values()]
        require(min(grown) >= 0 and sum(grown) <= line["worth"] + len(grown), "the pots have grown by another sum")
        for each in [self, *self.pots.values()]:
            each.totals[name(line)] += line["worth"]
            if line["worth"] and line["attended"]:
                each.board[name(line)] = -each.totals[name(line)], self.number  # who reached a total first is before
                while len(each.board) > each.seats:
                    del each.board[max(each.board, key=each.board.get)]
        for pot in self.pots.values():
            pot.value, pot.checked = line["values"][pot.id], pot.checked + Counter(contributions=1)
        self.judge(line, {pot.id: self.tips(pot, line) for pot in self.pots.values() if pot.secret})
        if self.raffle:
            self.buy(line)
        if line["attended"]:
            self.players.pop(name(line), None)
            self.players[name(line)] = line  # the last one is whoever contributed last

    def is_funded(self, pot, line):
        return pot.id not in line["unfunded"] or not pot.rules["opens_when_funded"]

    def own_part(self, pot, who):
        return payable(pot.value - pot.value * sum(each["share"] for each in pot.rules["community"]) // ONE, who)

    def tips(self, pot, line):
        """Why a pot tips, which of its hidden times have come, and whether this player may win it (None: unknown)."""
        place, worth, rules, can_win = line["number"] - 1 - pot.seal["first"], line["worth"], pot.rules, True
        drawn, lots = ([each[1:] for each in line[kind] if each[0] == pot.id] for kind in ("draws", "lots"))
        chances = [threshold(point["outcomes"], point["cost_units"], worth) for point in rules["hit_rates"]]
        wanted = [(pot.secret.draw(at, place), chance) for at, chance in enumerate(chances) if chance >= 1]
        wanted = wanted if self.is_funded(pot, line) else []  # a pot without its next seed makes no attempts
        if any((rules["criteria"] or {}).values()):  # what they ask for is not told, but a draw shows that it was met
            can_win = True if drawn or lots else False if wanted else None
            require(not can_win or line["currency"] in (rules["criteria"]["currencies"] or line["currency"]), pot.id)
        require(len(drawn) == (0 if can_win is False else len(wanted)), "draws for", pot.id, "are missing, or too many")
        for (draw, limit), (its_draw, chance) in zip(drawn, wanted):
            require(draw == its_draw, "a draw for", pot.id, "is not its secret's")
            require(abs(limit - chance) <= 1, "a threshold of", pot.id, "is not its rules'")
        pot.checked["draws"] += len(drawn)
        come = self.times(pot, line, lots, place, lots or (worth and can_win))
        if (not worth and self.law["operator_share"] != ONE) or can_win is False:
            return [], [], can_win  # who contributes nothing wins nothing
        due = {"HitRate": any(draw < limit for draw, limit in drawn), "Time": come or pot.is_due}
        due["Value"] = worth and any(pot.value >= min(hidden, rules["value_max"] or hidden) for hidden in pot.hidden)
        return [reason for reason in due if due[reason] and self.is_funded(pot, line)], come, can_win

    def times(self, pot, line, lots, place, takes_part):
        """Which hidden times have come, and who is drawn if a window ends now: each by their part of it."""
        come = []
        for at, (point, window) in enumerate(zip(pot.rules["hidden_times"], pot.windows)):
            start = point["start_ms"] + window.index * point["every_ms"]
            first, end = max(start, pot.seal["at_ms"]), start + point["every_ms"]
            require(start <= line["at_ms"] < end, f"window {window.index} of {pot.id} is over, and nobody has ended it")
            if takes_part and point["fallback"] != "RollOver" and not window.is_done:
                window.total += line["worth"]
                lot = pot.secret.below(window.total, f"lot {at} {place}")
                require(lots and lots.pop(0) == [at, lot], "a lot for", pot.id, "is not its secret's")
                window.candidate = line if lot < line["worth"] else window.candidate
            instant = first + pot.secret.below(end - first, f"time {at} {window.index}")
            come += [at] if line["at_ms"] >= instant and not window.is_done else []
        require(not lots, "too many lots for", pot.id)
        return come

    def judge(self, line, tips):
        """Every win has a reason, and every reason a win, or another pot that was won instead."""
        wins, selector = {win["pot"]: win for win in line["wins"]}, self.law["selector"]
        require(len(line["wins"]) <= (len(wins) if selector == "All" else 1), "too many wins")
        for pot in [pot for pot in self.pots.values() if pot.number]:  # none in data of before there were seals
            win, held = wins.get(pot.id), [at for pot_id, at in line["held"] if pot_id == pot.id]
            require(not pot.was_won and (pot.id in tips or not win), pot.id, "was won, and its secret is not revealed")
            reasons, come, can_win = tips.get(pot.id, ([], held, True))
            if win:
                require(win["tip"] in reasons and win["times"] == come, pot.id, "was won without a reason")
                self.pay(pot, win, line)
            elif reasons and can_win and self.own_part(pot, line)[0]:
                more = [line["values"][at] - pot.value for at in wins if selector != "All"]  # than this one
                is_instead = more and (more[0] == 0 or (more[0] > 0) == (selector == "Highest"))
                require(is_instead, pot.id, "tipped, and was not won")
            require(held == ([] if win else held and come if can_win is None else come), "a hidden time was not kept")
            for at in come if win else held:
                pot.windows[at].is_done, pot.is_due = True, not win

    def pay(self, pot, win, who):
        require(name(win) == name(who) and not pot.was_won, pot.id, "was won by somebody else, or twice")
        require((win["win"], win["paid"]) == self.own_part(pot, who), "the win of", pot.id, "is another sum")
        above = self.law["withhold_above"]
        require(win["withheld"] == (above is not None and win["paid"] > above), "the win of", pot.id, "is withheld, or not")
        told = [(p["strategy"], name(p), p["win"], p["paid"], p["draw"], p["among"]) for p in win["community"]]
        require(told == self.community(pot, name(win), who["at_ms"]), "others are to share the win of", pot.id)
        pot.was_won, pot.is_due, pot.totals, pot.board = True, False, Counter(), {}
        pot.checked.update({f"win by {win['tip']}": 1, "shares of others": len(told)})

    def community(self, pot, winner, at_ms):
        """Who else has a part of a win, and how much, strategy by strategy; nobody is picked twice."""
        found, taken = [], {winner}
        for s, strategy in enumerate(pot.rules["community"]):
            picks, wanted, attempt = {}, strategy["winners"], 0
            if strategy["kind"] == "ActivePlayers":
                active = [who for who, last in self.players.items() if last["at_ms"] >= at_ms - strategy["within_ms"]]
                while len(picks) < min(wanted, len(set(active) - taken)):
                    draw, attempt = pot.secret.below(len(active), f"active {s} {attempt}"), attempt + 1
                    if active[draw] not in taken:
                        picks.setdefault(active[draw], (draw, len(active)))
            else:
                board = pot.board if strategy["kind"] == "HighestContributionPerWin" else self.board
                best = [who for who in sorted(board, key=board.get) if who not in taken]
                picks = dict.fromkeys(best[:wanted], (0, 0))
            taken.update(picks)
            part = pot.value * strategy["share"] // ONE // wanted
            found += [(s, who, *payable(part, self.players[who]), *draw) for who, draw in picks.items()]
        return [each for each in found if each[2]]

    def window(self, line):
        """A window is over; somebody is drawn, if its hidden time has not come, or nobody has come since."""
        pot, point = self.pots[line["pot"]], line["point"]
        window, pot.value = pot.windows[point], line["values"][pot.id]
        pot.windows[point] = window_at(pot.rules["hidden_times"][point], line["at_ms"])
        require(line["index"] == pot.windows[point].index > window.index, "it is not over")
        drawn = window.candidate if pot.secret and not window.is_done and not pot.was_won else None
        can_pay = drawn and self.is_funded(pot, line) and self.own_part(pot, drawn)[0]
        require([win["tip"] for win in line["wins"]] == ["TimeFallback"] * bool(can_pay), "the draw is another one")
        pot.is_due = pot.is_due or bool(drawn)  # until it is paid
        for win in line["wins"]:
            self.pay(pot, win, {**drawn, "at_ms": line["at_ms"]})

    def trigger(self, line):
        pot, (win,) = self.pots[line["pot"]], line["wins"]
        pot.value, has_trigger = line["values"][pot.id], pot.secret and pot.rules["supports_trigger"]
        require(has_trigger and (win["pot"], win["tip"]) == (pot.id, "Trigger"), "another pot is triggered")
        self.pay(pot, win, {**win, "at_ms": line["at_ms"]})

    def schedule(self, line):
        """Another schedule: a round that lies ahead is set anew by it, one that runs goes on until its new end."""
        self.schedules[line["brand"]], now = line["schedule"], self.running
        if now and not line["brand"] and now["ends_ms"] > line["at_ms"]:  # else it is over, and waits for its draw
            now["ends_ms"] = self.end_ms(now["starts_ms"])
            self.running = now if now["starts_ms"] <= line["at_ms"] or now["entrants"] else None
        if not line["brand"] and not self.running and self.rounds:  # none of this schedule was missed before it was set
            self.over_ms = max(self.over_ms, line["at_ms"])

    def end_ms(self, starts_ms):  # a round lasts its duration, or until the schedule is over
        duration, limit = self.raffle["duration_ms"], self.schedules[""]["end_ms"]
        return min(each for each in (duration and starts_ms + duration, limit) if each is not None)

    def round(self, line):
        """A round is set, or some have gone by for which nobody was there; none overlaps another."""
        own, number = self.schedules[""], self.rounds + line.get("count", 1)
        first = max(self.over_ms, own["start_ms"])
        require(number > self.rounds and not self.running, "another round was not drawn")
        if line["is"] == "missed":
            least = self.end_ms(first + (line["count"] - 1) * (self.raffle["duration_ms"] or 0))
            require(least <= line["until_ms"] <= line["at_ms"], "so many rounds are not over")
            self.rounds, self.over_ms = number, line["until_ms"]
            return
        starts, ends = line["starts_ms"], line["ends_ms"]
        begins = starts >= first if own["daily"] or own["weekly"] else starts == first  # windows may put it off
        require(number == line["number"] and begins, "it is not the next round")
        require(starts < ends == self.end_ms(starts) > line["at_ms"], "it does not end when it should")
        self.running, self.entrants = {"number": number, "starts_ms": starts, "ends_ms": ends}, {}
        self.running.update(tickets=0, entrants=0, counted=0)

    def buy(self, line):
        """The tickets that a contribution buys in the round that runs, and what is kept of it for the next one."""
        now, law, bought, (pot,) = self.running, self.raffle, line["bought"], self.pots.values()
        is_open = now and now["starts_ms"] <= line["at_ms"] < now["ends_ms"]
        require(is_open and pot.seal, "no round runs then, or none that is sealed")
        counted, (mine, its), share = bought["counted"] if bought else 0, line["rates"], law["wager_share"]
        require(law["metric"] != "Contribution" or counted == line["worth"], "it is not counted as what it is worth")
        if law["metric"] == "BaseWager" and share is not None:  # of the wager; all are rounded, in their own currency
            off = 2 * mine * abs(line["worth"] * ONE - counted * share)
            require(off <= ONE * (mine + its) + share * mine, "it is not a contribution from the wager that it counts")
        if bought:
            who = self.entrants.setdefault(name(line), SimpleNamespace(entrant=now["entrants"], tickets=0, kept=0))
            awarded, left = divmod(counted + who.kept, law["cost"])
            who.kept, who.tickets, who.last = left if law["accumulates"] else 0, who.tickets + awarded, line
            due = {"round": now["number"], "entrant": who.entrant, "awarded": awarded, "accumulated": who.kept}
            require({**due, "counted": max(counted, 1)} == bought, "it buys other tickets than it paid for")
            now.update(entrants=len(self.entrants), counted=now["counted"] + counted, tickets=now["tickets"] + awarded)

    def draw(self, line):
        """A round is over: each prize goes to a ticket drawn among those left, and is worth what the rules say."""
        now, law, above, (pot,) = self.running, self.raffle, self.law["withhold_above"], self.pots.values()
        require(now and line["at_ms"] >= max(now["ends_ms"], self.at_ms), "no round is over")
        require({**now, "pot": pot.value}.items() <= line.items() and line["added"] >= 0, "the round was another one")
        require(pot.secret and self.status == "Active", "its secret is not revealed, or it stands still")
        entrants, paid, is_one = list(self.entrants.values()), 0, law["one_prize_per_player"]
        tickets = [who.tickets for who in entrants]  # what each has left, in the order in which they came
        prizes = [(tier, each) for tier, each in enumerate(law["prizes"]) for _ in range(each["count"])]
        can_win = sum(count > 0 for count in tickets) if is_one else sum(tickets)
        require(len(line["prizes"]) == min(len(prizes), can_win), "prizes are missing, or too many")
        for at, (told, (tier, prize)) in enumerate(zip(line["prizes"], prizes)):
            ends = list(accumulate(tickets))  # where those of each end in the row
            draw = pot.secret.below(ends[-1], f"raffle {now['number']} {at}")
            who = entrants[bisect_right(ends, draw)]
            value = pot.value * prize["share"] // ONE if prize["amount"] is None else prize["amount"]
            due = {"tier": tier, "entrant": who.entrant, "draw": draw, "among": ends[-1], "value": value}
            due["win"], due["paid"] = payable(value, who.last)
            due["withheld"] = above is not None and due["paid"] > above
            due.update({what: who.last[what] for what in ("brand", "player", "currency", "rates", "minor_unit")})
            require(due.items() <= told.items(), f"prize {at} is not its ticket's")
            tickets[who.entrant], paid = 0 if is_one else tickets[who.entrant] - 1, paid + due["paid"]
        pot.checked.update(tickets=now["tickets"], prizes=len(line["prizes"]))
        pot.was_won, pot.kept = True, max(pot.value - paid, 0) + line["added"]
        self.running, self.rounds, self.over_ms, self.at_ms = None, now["number"], now["ends_ms"], line["at_ms"]

def check(file):
    jackpots, secrets = {}, {}  # the file is read twice, because secrets come after what they decide
    for line in filter(lambda line: line["type"] == "reveal", map(json.loads, file)):
        secrets[line["instance"], line["pot"], line["number"]] = Secret.fromhex(line["secret"])
    file.seek(0)
    for at, line in enumerate(map(json.loads, file), 1):
        try:
            if line["type"] == "export":
                require((line["format"], line["units_in_1"]) == (1, ONE), "another format than this script knows")
            elif line["type"] == "instance":
                jackpots[line["instance"]] = Jackpot(line, secrets)
            else:
                getattr(jackpots[line["instance"]], line["type"])(line)
        except ValueError as error:
            sys.exit(f"NOT FAIR: line {at}, {line['type']} {line.get('number', '')}: {error}")
    for pot in [pot for jackpot in jackpots.values() for pot in jackpot.pots.values() if pot.seal or not pot.number]:
        print(f"{pot.name} {pot.number} not checked: {pot.checked['contributions']} contributions, nothing revealed")
        if pot.was_won:
            sys.exit(f"NOT FAIR: {pot.name} was won, and its secret was not revealed")

if __name__ == "__main__":
    check(open(sys.argv[1], encoding="utf-8"))
