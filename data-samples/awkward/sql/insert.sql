-- It writes.
insert into register.stays values (1)
