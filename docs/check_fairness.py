"""Checks every draw in a file that `jackpotd fairness export` wrote; fairness.md beside it says how draws are made.

python check_fairness.py export.jsonl -> exit status 0: fair; 1: the first thing that is not, in words
"""

import hashlib
import json
import sys
from collections import Counter
from decimal import Decimal, getcontext
from functools import lru_cache
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
        for rules in line["rules"]["pots"]:
            pot = self.pots[rules["id"]] = SimpleNamespace(id=rules["id"], name=f"{self.id} {rules['id']}", rules={})
            vars(pot).update(number=0, value=0, seal=None, secret=None, is_open=True, is_due=False, was_won=False)
            pot.totals, pot.board, pot.checked = Counter(), {}, Counter()
        self.rules({**line, "at_ms": self.at_ms})

    def rules(self, line):
        self.law, self.seats = line["rules"], 0
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
        require(not is_known or ("PotWon" in line["after"]) == was_won, "a win is not told, or was none")
        for pot in self.pots.values():
            pot.value, pot.is_open = line["values"][pot.id], pot.id in line["open"]

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
        print(f"{pot.name} {pot.number} fair:", ", ".join(f"{n} {what}" for what, n in pot.checked.items() if n))
        pot.seal, pot.secret, pot.was_won = None, None, False

    def contribution(self, line):
        require(line["number"] == self.number + 1 and line["at_ms"] >= self.at_ms, "it is not the next one")
        self.number, self.at_ms = line["number"], line["at_ms"]
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
