-- Text is ordered by its bytes, as everywhere else in this system.

-- One row: its lock, held to commit, puts appends in order. It stays on one page, because every
-- version of it leaves room for the next.
create table counter (
    id integer primary key check (id = 1),
    head bigint not null
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
insert into counter (id, head) values (1, 0);

-- Only ever added to: vacuum is for the visibility map and freezing, a little at a time.
create table events (
    position bigint primary key,
    stream text collate "C" not null,
    version bigint not null,
    id uuid not null,
    kind text collate "C" not null,
    schema integer not null,
    at bigint not null,
    tenant text collate "C" not null,
    actor text collate "C" not null,
    causation text collate "C" not null,
    correlation text collate "C" not null,
    traceparent text collate "C" not null,
    payload bytea not null,
    unique (stream, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.1);

create table claims (
    key text collate "C" primary key,
    value bytea not null
);

-- Rows come and go, and readers start at the end where they go: dead ones must not gather there.
create table timers (
    stream text collate "C" not null,
    kind text collate "C" not null,
    due bigint not null,
    primary key (stream, kind)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
create index timers_by_due on timers (due, stream, kind);

-- Few rows, each changed by every batch: most of every page is kept for their next versions.
create table offsets (
    consumer text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    incarnation text collate "C" not null,
    next bigint not null,
    primary key (consumer, topic, partition)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table listings (
    list text collate "C" not null,
    stream text collate "C" not null,
    owner text collate "C" not null,
    state text collate "C" not null,
    since bigint not null,
    primary key (list, stream)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
create index listings_by_since on listings (list, since, stream);
create index listings_by_owner on listings (list, owner, since, stream);
create index listings_by_state on listings (list, state, since, stream);

create table parked (
    consumer text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    incarnation text collate "C" not null,
    record_offset bigint not null,
    key bytea not null,
    headers bytea not null,
    payload bytea not null,
    cause text collate "C" not null,
    at bigint not null,
    state integer not null,
    primary key (consumer, topic, partition, incarnation, record_offset)
);
create index parked_by_key on parked (consumer, topic, partition, key, record_offset);
create index parked_by_place on parked (topic, partition, record_offset);
