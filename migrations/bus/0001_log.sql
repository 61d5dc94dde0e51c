-- The log. Offsets of a partition are consecutive here, but no reader may rely on it: on other buses they are not.

create table topics (
  topic_id integer generated always as identity primary key,
  name text not null unique,
  partitions integer not null check (partitions > 0),
  record_bytes_max integer not null check (record_bytes_max > 0),
  retention_ms bigint check (retention_ms > 0)
);
select probity.make_append_only('topics');

-- Every append updates its partition's row. A page filled to a tenth leaves room for the new versions beside the old
-- one, so that the index is never touched and each append prunes what its predecessors left.
create table partitions (
  topic_id integer not null references topics,
  partition integer not null,
  next_offset bigint not null default 0,
  -- Records below it can no longer be read …
  low_water bigint not null default 0,
  -- … and below this they are gone from the disk. It follows low_water in steps, so that no delete is ever long.
  purged_below bigint not null default 0,
  primary key (topic_id, partition),
  check (0 <= purged_below and purged_below <= low_water and low_water <= next_offset)
) with (fillfactor = 10);

-- No foreign key to partitions: it would lock that row once more for each record, and `append` is the only door.
create table records (
  topic_id integer not null,
  partition integer not null,
  record_offset bigint not null,
  appended_at_ms bigint not null,
  -- UTF-8 as bytes: a text column refuses U+0000, which every other bus takes.
  key bytea,
  headers bytea,
  value bytea not null,
  primary key (topic_id, partition, record_offset)
);
-- Payloads stand as they are: compressing costs more processor time than it saves disk, and events hardly shrink one by one.
alter table records alter column value set storage external;
select probity.make_append_only('records');

-- One row per producer name; a higher epoch fences the lower ones.
create table producers (
  name text primary key,
  epoch bigint not null
) with (fillfactor = 50);

-- The tables are written through the functions below alone.
revoke insert on records from probity_bus;
revoke insert, update, delete, truncate on topics, partitions, producers from probity_bus;

-- Lays records down and answers the first offset of each part, in the order of the parts.
--
-- The parts' rows in `partitions` are locked in one order for everybody, so appenders of overlapping partitions wait for
-- each other instead of deadlocking. The locks are held until the transaction ends, and only then do the new next_offset
-- and the records become visible, both at once: offsets of a partition become visible in their order, and no reader can
-- pass an offset that is still to come. That is why an append belongs at the end of a transaction.
--
-- Per part: topic, partition and count. Per record, in the order of the parts: the number of its part, the bytes of key
-- (-1: none), headers and value, and where they begin in the payload, which is sent once, as it is.
--
-- It is called by the two functions below alone and runs with their rights and settings: their search_path, and generic
-- plans, since the server would otherwise plan the insert anew for each small append, which costs more than running it.
create function lay_down(
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea
) returns bigint[]
  language plpgsql
as $$
declare
  part record;
  base bigint;
  now_ms bigint;
  first_offsets bigint[];
  shifts bigint[];
begin
  if cardinality(part_topics) = 1 then
    -- The usual append needs no order of locks, and without the loop's query a single record costs a fifth less.
    update partitions as p set next_offset = p.next_offset + part_counts[1]
      where p.topic_id = part_topics[1] and p.partition = part_partitions[1]
      returning p.next_offset - part_counts[1] into base;
    first_offsets := array[base];
    shifts := array[base - 1];
  else
    first_offsets := array_fill(null::bigint, array[cardinality(part_topics)]);
    shifts := first_offsets;
    for part in
      select p.number::integer as number, p.topic_id, p.partition, p.count,
        sum(p.count) over (order by p.number) - p.count as records_before
      from unnest(part_topics, part_partitions, part_counts) with ordinality as p (topic_id, partition, count, number)
      order by p.topic_id, p.partition, p.number
    loop
      update partitions as p set next_offset = p.next_offset + part.count
        where p.topic_id = part.topic_id and p.partition = part.partition
        returning p.next_offset - part.count into base;
      first_offsets[part.number] := base;
      shifts[part.number] := base - part.records_before - 1;
    end loop;
  end if;
  if array_position(first_offsets, null) is not null then
    raise exception using errcode = 'PBB02', message = 'the bus has no such partition';
  end if;
  -- Taken under the locks, so that the stamps of a partition rise with its offsets as far as the server's clock does.
  now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
  insert into records (topic_id, partition, record_offset, appended_at_ms, key, headers, value)
    select part_topics[r.part], part_partitions[r.part], shifts[r.part] + r.number, now_ms,
      case when r.key_bytes >= 0 then substring(payload from r.start + 1 for r.key_bytes) end,
      case when r.header_bytes > 0
        then substring(payload from r.start + 1 + greatest(r.key_bytes, 0) for r.header_bytes) end,
      substring(payload from r.start + 1 + greatest(r.key_bytes, 0) + r.header_bytes for r.value_bytes)
    from unnest(record_parts, starts, key_bytes, header_bytes, value_bytes)
      with ordinality as r (part, start, key_bytes, header_bytes, value_bytes, number);
  return first_offsets;
end
$$;

-- An append by a producer: refused when a successor has raised the epoch. The shared lock on the producer's row makes the
-- successor wait for appends in flight; what begins after the successor finds the higher epoch.
create function append(
  producer text, producer_epoch bigint,
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea
) returns bigint[]
  language plpgsql
  security definer
  set search_path = bus, pg_temp
  set plan_cache_mode = force_generic_plan
as $$
begin
  perform from producers as p where p.name = producer and p.epoch = producer_epoch for share;
  if not found then
    raise exception using errcode = 'PBB01', message = 'a newer producer of this name has taken over';
  end if;
  return lay_down(part_topics, part_partitions, part_counts, record_parts, starts, key_bytes, header_bytes, value_bytes,
    payload);
end
$$;

-- An append within a transaction of any unit, under that unit's own role and without a right on the tables of the bus.
create function append_within(
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea
) returns bigint[]
  language plpgsql
  security definer
  set search_path = bus, pg_temp
  set plan_cache_mode = force_generic_plan
as $$
begin
  return lay_down(part_topics, part_partitions, part_counts, record_parts, starts, key_bytes, header_bytes, value_bytes,
    payload);
end
$$;

-- Fences every earlier producer of the name; waits until its appends in flight have ended one way or the other.
create function open_producer(producer text) returns bigint
  language sql
  security definer
  set search_path = bus, pg_temp
as $$
  insert into producers as p (name, epoch) values (producer, 1)
    on conflict (name) do update set epoch = p.epoch + 1
    returning epoch
$$;

-- Makes the topics that are missing, each together with its partitions. Sorted: two processes that make the same topics
-- in different orders would wait for each other for ever.
create function make_topics(names text[], partition_counts integer[], bytes_max integer[], retentions bigint[]) returns void
  language sql
  security definer
  set search_path = bus, pg_temp
as $$
  with made as (
    insert into topics (name, partitions, record_bytes_max, retention_ms)
      select t.name, t.partitions, t.bytes_max, t.retention
      from unnest(names, partition_counts, bytes_max, retentions) as t (name, partitions, bytes_max, retention)
      order by t.name
      on conflict (name) do nothing
      returning topic_id, partitions
  )
  insert into partitions (topic_id, partition)
    select made.topic_id, generate_series(0, made.partitions - 1) from made
$$;

-- Moves the low-water mark up, never down; the records below it are purged afterwards, in steps. The one-row update holds
-- up appenders for its own commit only, where a delete of the records in the same transaction would stop them all.
create function trim_partition(topic integer, part integer, before bigint) returns void
  language plpgsql
  security definer
  set search_path = bus, pg_temp
as $$
begin
  update partitions as p set low_water = greatest(p.low_water, before)
    where p.topic_id = topic and p.partition = part and before <= p.next_offset;
  if not found then
    raise exception using errcode = 'PBB03', message = 'the log ends before the wanted low-water mark';
  end if;
end
$$;

-- Retention by age, at most `rows_max` records in one step: everything before the first record that is young enough.
-- A stamp out of order (the clock was set back) keeps more, never less. Answers how far the mark moved.
create function expire_partition(topic integer, part integer, older_than_ms bigint, rows_max integer) returns bigint
  language plpgsql
  security definer
  set search_path = bus, pg_temp
as $$
declare
  low bigint;
  high bigint;
  cutoff_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000) - older_than_ms;
  keep_from bigint;
begin
  select p.low_water, p.next_offset into strict low, high
    from partitions as p where p.topic_id = topic and p.partition = part;
  select r.record_offset into keep_from
    from records as r
    where r.topic_id = topic and r.partition = part and r.record_offset >= low and r.record_offset < low + rows_max
      and r.appended_at_ms >= cutoff_ms
    order by r.record_offset limit 1;
  keep_from := coalesce(keep_from, least(low + rows_max, high));
  if keep_from > low then
    perform trim_partition(topic, part, keep_from);
  end if;
  return keep_from - low;
end
$$;

-- Deletes at most `rows_max` records below the low-water mark and answers how many offsets are still to be purged. The
-- partition's row is updated last, so that appenders wait for the commit only and not for the delete.
create function purge_partition(topic integer, part integer, rows_max integer) returns bigint
  language plpgsql
  security definer
  set search_path = bus, pg_temp
as $$
declare
  purged bigint;
  low bigint;
  until bigint;
begin
  select p.purged_below, p.low_water into strict purged, low
    from partitions as p where p.topic_id = topic and p.partition = part;
  until := least(purged + rows_max, low);
  if until > purged then
    delete from records as r
      where r.topic_id = topic and r.partition = part and r.record_offset >= purged and r.record_offset < until;
    update partitions as p set purged_below = greatest(p.purged_below, until)
      where p.topic_id = topic and p.partition = part;
  end if;
  return low - until;
end
$$;

-- `lay_down` is reached through the two functions that guard it.
revoke execute on function lay_down from probity_bus;
grant usage on schema bus to probity_unit;
grant execute on function append_within to probity_unit;
