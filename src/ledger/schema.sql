create table if not exists meta (
    name text primary key,
    value text not null
) strict;

-- One row per thing that happened; never updated, never deleted.
create table if not exists entry (
    seq integer primary key,
    at text not null,
    run text not null,
    kind text not null,
    key text not null,
    body text not null,
    prev blob not null,
    hash blob not null
) strict;

create trigger if not exists entry_is_not_updated before update on entry
begin
    select raise(abort, 'entries of the ledger are never changed');
end;

create trigger if not exists entry_is_not_deleted before delete on entry
begin
    select raise(abort, 'entries of the ledger are never removed');
end;

-- Why a message was sent, sealed; the SHA-256 is in the message's newest entry. Erasing a person removes rows.
create table if not exists explanation (
    message text primary key,
    sealed blob not null,
    entry integer not null references entry (seq)
) strict;

-- One row per draw of noise, made from entries of kind release.*; draws is what was drawn.
create table if not exists release (
    release_id text not null,
    attempt integer not null,
    period text not null,
    spec_id text not null,
    policy text not null,
    rho text not null,
    state text not null,
    draws blob,
    entry integer not null references entry (seq),
    primary key (release_id, attempt)
) strict, without rowid;

-- One row per published period, with the SHA-256 of each file.
create table if not exists publication (
    period text primary key,
    files text not null,
    entry integer not null references entry (seq)
) strict, without rowid;

create table if not exists run (
    run text primary key,
    as_of text not null,
    started_at text not null,
    finished_at text,
    outcome text,
    summary text,
    entry integer not null references entry (seq)
) strict, without rowid;

-- How each obligation stands, made from entries of kind obligations.followed.
create table if not exists obligation (
    item text not null,
    key text not null,
    subject text not null,
    due_on text not null,
    rule_version text not null,
    state text not null,
    since text not null,
    fulfilled_on text,
    run text not null,
    entry integer not null references entry (seq),
    -- The commune in which the person lived when it was first seen; empty: none of the agency's; null: nobody looked.
    unit text,
    primary key (item, key)
) strict, without rowid;

-- The newest night for which the obligations of an item were followed.
create table if not exists followed (
    item text primary key,
    as_of text not null,
    run text not null,
    entry integer not null references entry (seq)
) strict, without rowid;
