"""What is changed: `{"config": "<system xmlns=...>...</system>"}`, as in an edit-config."""

from typing import Literal

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pdsno.execution.drivers.netconf import document
from pdsno.execution.drivers.netconf.document import BASE, OPERATION, Element

_OPERATIONS = {"merge", "replace", "create", "delete", "remove"}  # RFC 6241 7.2
_CONFIG_MAX = 200_000  # characters; a payload travels in an event


class NetconfPayload(BaseModel):
    """The payload of a change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    config: str = Field(min_length=1, max_length=_CONFIG_MAX)
    default_operation: Literal["merge", "replace", "none"] = "merge"

    @field_validator("config")
    @classmethod
    def _well_formed(cls, text: str) -> str:
        config = _wrapped(text)
        if not len(config) or (config.text or "").strip():
            raise ValueError("one element or more is wanted")
        for element in config.iter():
            name = etree.QName(element)
            if element is not config and name.namespace in {None, "", BASE}:
                raise ValueError(f"<{name.localname}> has no namespace of a module")
            operation = element.get(OPERATION)
            if operation is not None and operation not in _OPERATIONS:
                raise ValueError(f"<{name.localname}> has an unknown operation")
        return text

    @property
    def element(self) -> Element:
        """The config of the edit."""
        return _wrapped(self.config)


def _wrapped(text: str) -> Element:
    return document.read(f'<config xmlns="{BASE}" xmlns:nc="{BASE}">{text}</config>')
