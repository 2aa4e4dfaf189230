"""What other packages use of records: the model, its check, and the texts of its faults."""

from algoplatform.domain.record.check import Checked, Rules, absent_frames, check, check_registration, check_update
from algoplatform.domain.record.fields import is_blank
from algoplatform.domain.record.model import INPUTS, INTEGER_FIELDS, RECORD_FIELDS, Image, render, render_json
from algoplatform.domain.record.wording import (
    DEPENDENCY_ADVICE,
    code_of,
    exists_fault,
    field_order,
    frame_fault,
    identity_fault,
    in_field_order,
    label_of,
    missing_fault,
    missing_faults,
    unknown_faults,
)

__all__ = [
    "DEPENDENCY_ADVICE",
    "INPUTS",
    "INTEGER_FIELDS",
    "RECORD_FIELDS",
    "Checked",
    "Image",
    "Rules",
    "absent_frames",
    "check",
    "check_registration",
    "check_update",
    "code_of",
    "exists_fault",
    "field_order",
    "frame_fault",
    "identity_fault",
    "in_field_order",
    "is_blank",
    "label_of",
    "missing_fault",
    "missing_faults",
    "render",
    "render_json",
    "unknown_faults",
]
