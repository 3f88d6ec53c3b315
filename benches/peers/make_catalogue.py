"""Fills every standard table with synthetic rows: make_catalogue.py PEOPLE STANDARD_TABLES_TOML FOLDER

Nothing is drawn: every value is a hash of its row's number. A table is one Parquet file, sorted by its driving date as
landing sorts it, with row groups of the same size; sorted-by.txt names that date. Counts are shares of the people,
about those of a country; what a column may hold stands below where its type does not say it.
"""
import os
import sys
import tomllib

import duckdb

people, tables, folder = int(sys.argv[1]), tomllib.load(open(sys.argv[2], "rb")), sys.argv[3]

# Rows for each person, and the date by which the table is sorted.
SHARES = {
    "people": (1, "birth_date"), "businesses": (0.05, None), "identity_cards": (1.2, "issued_on"),
    "driving_licences": (0.5, "issued_on"), "vehicles": (0.3, "last_inspected_on"),
    "temporary_residences": (0.1, "expires_on"), "health_insurance_cards": (0.3, "valid_to"),
    "passports": (0.3, "issued_on"), "vehicle_inspections": (0.6, "issued_on"),
    "licence_points_exhausted": (0.001, "exhausted_on"), "licence_points_tests": (0.001, "taken_on"),
    "motor_insurance_contracts": (0.6, "starts_on"), "births": (0.015, "born_on"), "deaths": (0.008, "died_on"),
    "military_lists": (0.01, "birth_date"), "children": (0.25, "birth_date"), "vaccinations": (1.5, "given_on"),
    "insured_people": (0.35, "birth_date"), "pensions": (0.15, "starts_on"), "poor_households": (0.08, "starts_on"),
    "social_pension_requests": (0.05, "requested_on"), "ended_employments": (0.02, "ended_on"),
    "unemployment_benefits": (0.02, "claimed_on"), "job_search_notices": (0.06, "notified_on"),
    "dossiers": (0.4, "received_on"), "taxpayers": (0.045, None), "tax_duties": (0.1, "starts_on"),
    "tax_returns": (0.6, "period_ends_on"), "tax_payments": (0.1, "period_ends_on"), "pit_settlements": (0.05, None),
    "land_tax_bills": (0.8, "notice_issued_on"), "taxable_events": (0.03, "occurred_on"),
    "household_businesses": (0.15, "started_on"), "household_tax_years": (0.3, None),
    "household_revenues": (0.6, None), "employers": (0.03, None), "labour_reports": (0.1, "sent_on"),
    "food_certificates": (0.01, "issued_on"), "work_permits": (0.003, "expires_on"),
    "construction_permits": (0.005, "valid_from"), "enterprise_registrations": (0.045, "certificate_issued_on"),
    "enterprise_changes": (0.03, "changed_on"), "business_suspensions": (0.01, "starts_on"),
}
# Whose subject is a business.
OF_BUSINESSES = {
    "businesses", "taxpayers", "tax_duties", "tax_returns", "tax_payments", "employers", "labour_reports",
    "food_certificates", "work_permits", "enterprise_registrations", "enterprise_changes", "business_suspensions",
}
# A column that names a row of another table.
REFERENCES = {
    ("vehicle_inspections", "vehicle_id"): "vehicles", ("motor_insurance_contracts", "vehicle_id"): "vehicles",
    ("licence_points_exhausted", "licence_number"): "driving_licences",
    ("licence_points_tests", "licence_number"): "driving_licences", ("vaccinations", "child_id"): "children",
    ("job_search_notices", "benefit_id"): "unemployment_benefits",
    ("household_tax_years", "business_id"): "household_businesses",
    ("household_revenues", "business_id"): "household_businesses",
}
# Rows that stand together: the first column of the grain changes after so many.
TOGETHER = {"household_tax_years": 3, "household_revenues": 8, "tax_duties": 2, "pit_settlements": 2}
# First day and number of days.
DATES = {
    "birth_date": ("1930-01-01", 35000), "holder_birth_date": ("1930-01-01", 35000), "valid_to": ("2026-01-01", 730),
    ("military_lists", "birth_date"): ("2008-01-01", 730), ("children", "birth_date"): ("2016-01-01", 3977),
    ("insured_people", "birth_date"): ("1961-01-01", 15000), "born_on": ("2025-11-22", 365),
    "died_on": ("2025-11-22", 365), ("temporary_residences", "expires_on"): ("2025-11-22", 1095),
    ("work_permits", "expires_on"): ("2025-11-22", 1095), ("vehicle_inspections", "issued_on"): ("2021-01-01", 2150),
    "last_inspected_on": ("2023-12-01", 1087), "starts_on": ("2022-01-01", 1786), "ends_on": ("2026-01-01", 730),
    "period_ends_on": ("2024-01-01", 1056), "filed_on": ("2024-01-01", 1056), "ended_on": ("2025-11-22", 365),
    "notice_issued_on": ("2025-01-01", 690), "occurred_on": ("2026-01-01", 325), "changed_on": ("2026-01-01", 325),
}
OTHER_DATES = ("2015-01-01", 4343)
TEXTS = {
    "language": ["vi", "vi", "vi", "en"], "licence_class": ["A1", "B", "B", "C1", "C", "D", "CE"],
    ("vehicles", "kind"): ["passenger_car", "passenger_car", "lorry", "converted_van"],
    "vaccine": ["hepb", "bcg", "combined", "combined", "combined", "dpt_booster", "td"], "sex": ["men", "women"],
    "cycle": ["month", "quarter", "year"], "tax": ["vat", "pit_withholding", "cit"],
    ("land_tax_bills", "tax"): ["non_agricultural", "agricultural"],
    "payment_kind": ["first", "yearly", "difference", "once", "first_half", "second_half"],
    "return_kind": ["month", "quarter", "half_year", "year", "finalisation", "accounts"],
    ("taxable_events", "kind"): ["real_estate", "other"], ("food_certificates", "kind"): ["food_safety", "gmp"],
    "legal_form": ["limited_several_members", "limited_one_member", "joint_stock"],
    ("enterprise_changes", "kind"): ["name", "head_office", "owner", "capital"], "procedure_code": ["1.000001", "2.000002"],
}
# First number and how many.
NUMBERS = {
    "year_made": (1998, 29), "inspections": (1, 8), "dose": (1, 3), "tax_year": (2024, 3), "quarter": (1, 4),
    "financial_year_end_month": (1, 12), "month": (6, 1), "year": (2024, 3), "benefit_month": (1, 12), "level": (1, 5),
    "monthly_vnd": (300_000, 5_000_000), "assessed_revenue_vnd": (100_000_000, 3_000_000_000),
    "revenue_vnd": (20_000_000, 800_000_000), "returns_a_year": (1, 2), "extensions": (0, 2), "channel": (1, 3),
    "status": (1, 10),
}


def rows_of(table):
    return max(1, int(people * SHARES[table][0]))


def number(prefix, value):
    return f"'{prefix}' || lpad(({value})::varchar, 11, '0')"


def value(table, name, column, salt):
    drawn = f"(hash(i * 1000003 + {salt}) >> 1)"
    grain, group = tables[table]["grain"], TOGETHER.get(table, 1)
    place = f"i // {group}" if name == grain[0] else None
    kind = column["type"]
    if name in ("subject_id", "holder_id"):
        of_business = table in OF_BUSINESSES
        count = rows_of("businesses") if of_business else people
        mixed = "hash(i)" if name == "holder_id" or table == "passports" else drawn
        return number("B" if of_business else "P", f"({place or mixed}) % {count}")
    if (table, name) in REFERENCES:
        other = REFERENCES[table, name]
        return number("", f"({place or drawn}) % {rows_of(other)}")
    if place and kind == "text":
        return number("", place)
    if kind == "date":
        first, days = DATES.get((table, name)) or DATES.get(name) or OTHER_DATES
        return f"date '{first}' + ({drawn} % {days})::int"
    if kind == "int":
        first, count = NUMBERS[name]
        spread = f"i % {count}" if name in grain else f"{drawn} % {count}"
        return f"({first} + {spread})::bigint"
    if kind == "bool":
        return f"{drawn} % 20 = 0"
    words = TEXTS.get((table, name)) or TEXTS.get(name)
    if words:
        turn = "i" if name in grain else drawn
        return f"[{', '.join(repr(word) for word in words)}][1 + ({turn} % {len(words)})::int]"
    if name == "email":
        return "'p' || i || '@portal.example'"
    if name == "full_name" or name == "child_name":
        return "'Nguyễn Văn ' || i"
    if name == "commune_code":
        return f"lpad(({drawn} % 3321)::varchar, 5, '0')"
    return number("", drawn + " % 1000000000")


os.makedirs(folder, exist_ok=True)
connection = duckdb.connect()
connection.execute("set preserve_insertion_order = false")
connection.execute("set memory_limit = '6GB'")
connection.execute(f"set temp_directory = '{folder}'")
sorted_by = []
for table, about in tables.items():
    # Tables of service quality: no item reads them.
    if table not in SHARES:
        continue
    driving = SHARES[table][1]
    columns = []
    for salt, (name, column) in enumerate(about["columns"].items()):
        made = value(table, name, column, salt)
        # What may be empty is so in three rows of five: most things are not done yet.
        if column.get("nullable") and name != driving and name not in ("birth_date", "email", "language", "commune_code"):
            made = f"case when (hash(i * 7919 + {salt}) >> 1) % 5 < 2 then {made} end"
        columns.append(f"{made} as {name}")
    order = ", ".join(([driving] if driving else []) + [name for name in about["grain"] if name != driving])
    target = os.path.join(folder, table + ".parquet")
    connection.execute(
        f"copy (select {', '.join(columns)} from range({rows_of(table)}) t(i) order by {order})"
        f" to '{target}' (format parquet, compression zstd, row_group_size 122880)"
    )
    sorted_by.append(f"{table} {driving or ''}")
open(os.path.join(folder, "sorted-by.txt"), "w").write("\n".join(sorted_by) + "\n")
