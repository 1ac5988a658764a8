-- A whole batch in one statement that is its own transaction, on what this process presumes of the
-- database. The counter's row comes first: it is advanced only while it stands where the statement's
-- snapshot has it, so that what the snapshot says of versions and claims holds at the commit too, and
-- nothing else is written where it was not advanced. No row is named twice, which the judge sees to.
with counted as (
    update counter set head = head + $1
    where id = 1
    and head = (select head from counter where id = 1)
    and ($2::bigint is null or head = $2)
    and not exists (
        select from unnest($3::text[], $4::bigint[]) as presumed (stream, version)
        where presumed.version <> coalesce((
            select e.version from events e where e.stream = presumed.stream order by e.version desc limit 1
        ), 0)
    )
    and not exists (select from claims where key = any($5::text[]))
    returning head - $1 as base
), recorded as (
    insert into events (
        position, stream, version, id, kind, schema, at, tenant, actor, causation, correlation, traceparent, payload
    )
    select
        counted.base + e.n, e.stream, e.version, e.id, e.kind, e.schema, e.at, e.tenant, e.actor, e.causation,
        e.correlation, e.traceparent, e.payload
    from counted, unnest(
        $6::text[], $7::bigint[], $8::uuid[], $9::text[], $10::integer[], $11::bigint[], $12::text[], $13::text[],
        $14::text[], $15::text[], $16::text[], $17::bytea[]
    ) with ordinality as e (
        stream, version, id, kind, schema, at, tenant, actor, causation, correlation, traceparent, payload, n
    )
), claimed as (
    insert into claims (key, value)
    select c.key, c.value from counted, unnest($5::text[], $18::bytea[]) as c (key, value)
), set_timers as (
    insert into timers (stream, kind, due)
    select t.stream, t.kind, t.due
    from counted, unnest($19::text[], $20::text[], $21::bigint[]) as t (stream, kind, due)
    on conflict (stream, kind) do update set due = excluded.due where timers.due <> excluded.due
), cleared_timers as (
    delete from timers t using counted, unnest($22::text[], $23::text[]) as gone (stream, kind)
    where t.stream = gone.stream and t.kind = gone.kind
), moved as (
    update offsets o set incarnation = m.incarnation, next = m.next
    from counted, unnest(
        $24::text[], $25::text[], $26::integer[], $27::text[], $28::bigint[], $29::text[], $30::bigint[]
    ) as m (consumer, topic, partition, incarnation, next, from_incarnation, from_next)
    where o.consumer = m.consumer and o.topic = m.topic and o.partition = m.partition
    and o.incarnation = m.from_incarnation and o.next = m.from_next
    returning 1
), listed as (
    insert into listings (list, stream, owner, state, since)
    select l.list, l.stream, l.owner, l.state, l.since
    from counted, unnest($31::text[], $32::text[], $33::text[], $34::text[], $35::bigint[])
        as l (list, stream, owner, state, since)
    on conflict (list, stream) do update set owner = excluded.owner, state = excluded.state
    where listings.owner <> excluded.owner or listings.state <> excluded.state
)
-- An offset that somebody else moved ends the statement, and with it the transaction.
select counted.base, (
    case when (select count(*) from moved) = cardinality($24::text[]) then '0' else 'an offset was moved elsewhere' end
)::integer
from counted
