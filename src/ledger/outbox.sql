-- The state of each message, made from entries of kind message.* and messages.*.
create table if not exists outbox (
    key text not null unique,
    subject text not null,
    obligation text not null,
    item text not null,
    stage integer not null,
    channel text not null,
    message_id text not null,
    -- A keyed digest of the address: it can be compared, and read by nobody.
    address text,
    valid_until text,
    state text not null,
    reason text,
    retry_at text,
    attempts integer not null,
    run text not null,
    entry integer not null references entry (seq)
) strict;

create index if not exists outbox_by_state on outbox (state) where state in ('in_flight', 'uncertain', 'deferred');

-- Who may write to the outbox: the newest epoch and no earlier one.
create table if not exists lease (
    name text primary key,
    epoch integer not null,
    holder text not null,
    expires_at text not null
) strict, without rowid;

-- How far the journal beside the ledger is known to it, in bytes.
create table if not exists mark (
    name text primary key,
    bytes integer not null
) strict, without rowid;
