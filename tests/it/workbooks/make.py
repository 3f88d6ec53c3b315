"""Makes the workbooks of this folder: python make.py, with openpyxl 3.1, xlwt 1.3 and odfpy 1.4. All data is synthetic."""
import datetime as dt
import openpyxl, xlwt
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

HEADER = ["card_number", "full_name", "valid_to", "fee", "rate", "local", "moment", "paid"]
NAMES = ["Nguyễn Văn An", "Trần Thị Bình", "Lê Hoàng Châu"]
DAY = dt.date(2026, 11, 21)


def rows():
    yield ["BH001", NAMES[0], DAY, 804600, 12.5, "21/11/2026", dt.datetime(2026, 11, 21, 8, 30), True]
    # A number where text is, a text where a number is, a number where a date is.
    yield [97086071395, NAMES[1], 46347, "804600", 0.1, "2026-11-21", None, False]
    yield ["BH003", NAMES[2], dt.date(2026, 11, 22), 0.5, None, None, None, None]
    yield ["", None, None, None, None, None, None, None]
    yield ["BH004", NAMES[0], dt.date(2199, 12, 31), 2**53, -7, "30/02/2026", None, None]
    # In the 1900 system, serial 60 is 29 February 1900, which never was, and 61 is 1 March.
    yield ["BH005", NAMES[1], ("serial", 60), 1, None, None, None, None]
    yield ["BH006", NAMES[2], ("serial", 61), 1, None, None, None, None]
    yield ["BH007", NAMES[2], ("serial", 46347.25), 1, None, None, None, None]
    yield ["BH008", NAMES[2], ("error",), 1, None, None, None, None]


def xlsx(name, epoch=None):
    book = openpyxl.Workbook()
    if epoch:
        book.epoch = epoch
    other = book.active
    other.title = "Ghi chú"
    other["A1"] = "synthetic"
    sheet = book.create_sheet("Thẻ", 0)
    sheet.append([])
    sheet.append(HEADER)
    for row in rows():
        sheet.append([None if isinstance(value, tuple) else value for value in row])
        for column, value in enumerate(row, 1):
            cell = sheet.cell(sheet.max_row, column)
            if isinstance(value, tuple) and value[0] == "serial":
                cell.value, cell.number_format = value[1], "yyyy-mm-dd"
            elif isinstance(value, tuple):
                cell.value, cell.data_type = "#N/A", "e"
    book.save(name)


def xls(name):
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Thẻ")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for row, values in enumerate([HEADER, *rows()], 1):
        for column, value in enumerate(values):
            if isinstance(value, tuple):
                if value[0] == "serial":
                    sheet.write(row, column, value[1], day)
                else:
                    sheet.write(row, column, xlwt.Formula("NA()"))
            elif isinstance(value, (dt.date, dt.datetime)):
                sheet.write(row, column, value, day)
            elif value is not None:
                sheet.write(row, column, value)
    book.save(name)


def ods(name):
    book = OpenDocumentSpreadsheet()
    sheet = Table(name="Thẻ")
    for values in [HEADER, *list(rows())[:5]]:
        line = TableRow()
        for value in values:
            if isinstance(value, bool):
                cell = TableCell(valuetype="boolean", booleanvalue=str(value).lower())
            elif isinstance(value, (int, float)):
                cell = TableCell(valuetype="float", value=value)
            elif isinstance(value, dt.datetime):
                cell = TableCell(valuetype="date", datevalue=value.isoformat())
            elif isinstance(value, dt.date):
                cell = TableCell(valuetype="date", datevalue=value.isoformat())
            elif value:
                cell = TableCell(valuetype="string")
                cell.addElement(P(text=value))
            else:
                cell = TableCell()
            line.addElement(cell)
        sheet.addElement(line)
    book.spreadsheet.addElement(sheet)
    book.save(name)


def awkward(name):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "dates"
    values = {
        "id": 1, "no_expiry": dt.date(9999, 12, 31), "year_one": "0001-01-01", "before_1970": dt.date(1969, 12, 31),
        "epoch": dt.date(1970, 1, 1), "after_2038": dt.date(2038, 1, 20), "first_day": ("serial", 1),
        "last_day": dt.date(2200, 12, 31), "too_late": dt.date(2201, 1, 1), "zero_date": "0000-00-00",
        "zero_month": "2026-00-10", "february_30": "2026-02-30", "no_leap_year": ("serial", 60), "infinity": "infinity",
        "time_of_day": dt.datetime(2026, 11, 21, 8, 30), "midnight": dt.datetime(2026, 11, 21),
        "end_of_day": "2026-11-21 24:00:00", "two_digits": "26-11-21", "before_christ": "0044-03-15 BC",
        "bc_2026": "2026-11-21 BC", "minus_44": "-0044-03-15",
    }
    for column, (header, value) in enumerate(values.items(), 1):
        sheet.cell(1, column).value = header
        cell = sheet.cell(2, column)
        cell.value = value[1] if isinstance(value, tuple) else value
        if isinstance(value, tuple):
            cell.number_format = "yyyy-mm-dd"
    book.save(name)


xlsx("cards.xlsx")
xlsx("cards_1904.xlsx", CALENDAR_MAC_1904)
xls("cards.xls")
ods("cards.ods")
awkward("dates.xlsx")
