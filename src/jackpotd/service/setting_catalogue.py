"""All settings in one table, so that the loader, the documentation and the tests read the same one."""

from collections.abc import Iterator

from msgspec import Struct, inspect, structs

from jackpotd.service.settings import Settings


class Setting(Struct, frozen=True, kw_only=True):
    """One setting as the loader and the documentation see it."""

    table: str
    field: str
    group: type[Struct]
    kind: inspect.Type
    default: object
    description: str

    @property
    def label(self) -> str:
        return f"[{self.table}] {self.field}"

    @property
    def dotted(self) -> str:
        return f"{self.table}.{self.field}"

    @property
    def variable(self) -> str:
        return f"JACKPOTD_{self.table}_{self.field}".upper()

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values allowed; empty where the values are not listed."""
        if isinstance(self.kind, inspect.LiteralType):
            return tuple(str(value) for value in self.kind.values)
        return ()

    @property
    def range(self) -> str:
        """The ends of a number's range, in words; empty where the setting is no number."""
        match self.kind:
            case inspect.FloatType(gt=float() | int() as low, le=high):
                return f"above {low} to {high}"
            case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
                return f"{low} to {high}"
            case _:
                return ""

    @property
    def expectation(self) -> str:
        """What a value must be, in words."""
        match self.kind:
            case inspect.IntType():
                return f"an integer, {self.range}"
            case inspect.FloatType():
                return f"a number, {self.range}"
            case inspect.BoolType():
                return "true or false"
            case inspect.LiteralType():
                return f"one of {', '.join(self.choices)}"
            case inspect.VarTupleType():
                return "a list of texts"
            case _ if self.field == "bind":
                return '"HOST:PORT" or "off"'
            case _:
                return "a text that is not empty"


def _catalogue() -> Iterator[Setting]:
    for table in structs.fields(Settings):
        for field in structs.fields(table.type):
            annotated = inspect.type_info(field.type)
            if not isinstance(annotated, inspect.Metadata):
                raise TypeError(f"[{table.name}] {field.name} has no description")
            yield Setting(
                table=table.name,
                field=field.name,
                group=table.type,
                kind=annotated.type,
                default=field.default,
                description=(annotated.extra_json_schema or {})["description"],
            )


SETTINGS: tuple[Setting, ...] = tuple(_catalogue())
