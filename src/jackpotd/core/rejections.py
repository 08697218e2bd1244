"""Refusals, as values: what a rule of the jackpot says no to (contract §3, "Errors").

A code is the documented word, a message is one CamelCase word for each rule, or the id that was not found. Which HTTP
status belongs to a code is the wire's business.
"""

from enum import StrEnum

from msgspec import Struct


class Code(StrEnum):
    """The documented error codes, and ours."""

    CONTRIBUTION_REJECTED = "CONTRIBUTION_REJECTED"
    GAME_NOT_FOUND = "GAME_NOT_FOUND"
    SOURCE_JACKPOT_NOT_FOUND = "SOURCE_JACKPOT_NOT_FOUND"
    SOURCE_JACKPOTS_NOT_ALLOWED = "SOURCE_JACKPOTS_NOT_ALLOWED"
    UNSUPPORTED_BRAND = "UNSUPPORTED_BRAND"
    CURRENCY_MULTIPLIERS_NOT_FOUND = "CURRENCY_MULTIPLIERS_NOT_FOUND"
    OPTIN_ERROR = "OPTIN_ERROR"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    INVALID_REQUEST = "INVALID_REQUEST"
    JACKPOT_NOT_FOUND = "JACKPOT_NOT_FOUND"
    INVALID_STATE = "INVALID_STATE"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    OVERLOADED = "OVERLOADED"
    WALLET_NOT_CONFIGURED = "WALLET_NOT_CONFIGURED"


class Rejection(Struct, frozen=True, gc=False):
    """A refusal: the code, and the rule or the id that it is about."""

    code: Code
    message: str


def _rejected(rule: str) -> Rejection:
    return Rejection(Code.CONTRIBUTION_REJECTED, rule)


PLAYER_NOT_OPTED_IN = _rejected("PlayerNotOptedIn")
JACKPOT_NOT_ACTIVE = _rejected("JackpotNotActive")
COUNTRY_NOT_ALLOWED = _rejected("CountryNotAllowed")
SEGMENT_NOT_ALLOWED = _rejected("SegmentNotAllowed")
VERTICAL_NOT_ALLOWED = _rejected("VerticalNotAllowed")
OUTSIDE_SCHEDULE = _rejected("OutsideSchedule")
NEGATIVE_WAGER = _rejected("NegativeWager")
CONTRIBUTION_OUT_OF_RANGE = _rejected("ContributionOutOfRange")
PREFERENCE_OUT_OF_RANGE = Rejection(Code.OPTIN_ERROR, "ContributionOutOfRange")
PREFERENCE_NOT_SUPPORTED = Rejection(Code.OPTIN_ERROR, "ContributionNotVariable")
OPT_IN_COUNTRY_NOT_ALLOWED = Rejection(Code.OPTIN_ERROR, "CountryNotAllowed")
OPT_IN_JACKPOT_NOT_ACTIVE = Rejection(Code.OPTIN_ERROR, "JackpotNotActive")


def wallet_not_configured(brand: str) -> Rejection:
    return Rejection(Code.WALLET_NOT_CONFIGURED, brand)


def unsupported_brand(brand: str) -> Rejection:
    return Rejection(Code.UNSUPPORTED_BRAND, brand)


def multipliers_not_found(currency: str) -> Rejection:
    return Rejection(Code.CURRENCY_MULTIPLIERS_NOT_FOUND, currency)


def invalid_state(status: str, wanted: str) -> Rejection:
    return Rejection(Code.INVALID_STATE, f"{status} to {wanted} is not allowed")
