"""What people read of a dataset, or of a refused one, before they trust it."""

from astrid_training.report.context import Parent, RejectExample, ReportContext, report_context
from astrid_training.report.page import write_refusal, write_report
from astrid_training.report.tables import FunnelLine, funnel_lines

__all__ = [
    "FunnelLine",
    "Parent",
    "RejectExample",
    "ReportContext",
    "funnel_lines",
    "report_context",
    "write_refusal",
    "write_report",
]
