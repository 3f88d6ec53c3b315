-- It deletes in a common table expression.
with gone as (delete from register.stays returning *)
select * from gone
