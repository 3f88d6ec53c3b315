-- TODO: say what a row is, and the law in a sentence or two, with its article.
--
-- A newer row of the same @WHO@ fulfils the obligation, on the day of that row.
--
-- grain:   @GRAIN@
-- private: subject_id, object_id, period, due_on, fulfilled_on, @DATE@
-- rule:    @ITEM@_term
with
documents as (@ROWS@),
term as (select * from law.@ITEM@_term),

-- TODO: does every row bind, and is it fulfilled by the next one? Otherwise say which, here.
renewed as (
    select
        documents.*,
        lead(@DATE@) over (partition by subject_id order by @DATE@) as renewed_on
    from documents
),

ends as (
    select
        renewed.subject_id,
        @OBJECT@ as object_id,
        cast(renewed.@DATE@ as varchar) as period,
        -- TODO: how the law counts: a month end clamps, rolls or errs; a day of rest moves it (next_working_day) or not
        add_months(renewed.@DATE@, term.value, 'clamp') as due_on,
        term.rule_version,
        renewed.renewed_on as fulfilled_on,
        renewed.@DATE@
    from renewed
    cross join term
)

select * from ends
where due_on between $since and $until
