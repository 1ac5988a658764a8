-- Positions are the row numbers of events. One writer at a time takes the next ones, so that they are
-- gapless and in commit order without a counter.
create table events (
    position integer primary key,
    stream text not null,
    version integer not null,
    id blob not null,
    kind text not null,
    schema integer not null,
    at integer not null,
    tenant text not null,
    actor text not null,
    causation text not null,
    correlation text not null,
    traceparent text not null,
    payload blob not null,
    unique (stream, version)
) strict;

create table claims (
    key text primary key,
    value blob not null
) strict, without rowid;

create table timers (
    stream text not null,
    kind text not null,
    due integer not null,
    primary key (stream, kind)
) strict, without rowid;
create index timers_by_due on timers (due, stream, kind);

create table offsets (
    consumer text not null,
    topic text not null,
    partition integer not null,
    incarnation text not null,
    next integer not null,
    primary key (consumer, topic, partition)
) strict, without rowid;

create table listings (
    list text not null,
    stream text not null,
    owner text not null,
    state text not null,
    since integer not null,
    primary key (list, stream)
) strict, without rowid;
create index listings_by_since on listings (list, since, stream);
create index listings_by_owner on listings (list, owner, since, stream);
create index listings_by_state on listings (list, state, since, stream);

create table parked (
    consumer text not null,
    topic text not null,
    partition integer not null,
    incarnation text not null,
    record_offset integer not null,
    key blob not null,
    headers blob not null,
    payload blob not null,
    cause text not null,
    at integer not null,
    state integer not null,
    primary key (consumer, topic, partition, incarnation, record_offset)
) strict;
create index parked_by_key on parked (consumer, topic, partition, key, record_offset);
create index parked_by_place on parked (topic, partition, record_offset);
