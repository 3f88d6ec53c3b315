-- It makes a table.
create table stays as select * from register.stays
