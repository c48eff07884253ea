"""What every stored value is: frozen, and strict about unknown fields because we write them."""

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """A value that becomes a row: frozen, and strict about unknown fields."""

    model_config = ConfigDict(
        defer_build=True,  # most commands use few of them
        frozen=True,
        extra="forbid",
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )
