-- An append answers when it was made, too: the stamp that its records carry. So a process that appended can hand its
-- records to its own readers as they stand in the log, without reading them back.

drop function append, append_within, lay_down;

-- As in 0001_log.sql, with the stamp.
create function lay_down(
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea, out first_offsets bigint[], out appended_at_ms bigint
)
  language plpgsql
as $$
declare
  part record;
  base bigint;
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
  appended_at_ms := floor(extract(epoch from clock_timestamp()) * 1000);
  insert into records (topic_id, partition, record_offset, appended_at_ms, key, headers, value)
    select part_topics[r.part], part_partitions[r.part], shifts[r.part] + r.number, lay_down.appended_at_ms,
      case when r.key_bytes >= 0 then substring(payload from r.start + 1 for r.key_bytes) end,
      case when r.header_bytes > 0
        then substring(payload from r.start + 1 + greatest(r.key_bytes, 0) for r.header_bytes) end,
      substring(payload from r.start + 1 + greatest(r.key_bytes, 0) + r.header_bytes for r.value_bytes)
    from unnest(record_parts, starts, key_bytes, header_bytes, value_bytes)
      with ordinality as r (part, start, key_bytes, header_bytes, value_bytes, number);
end
$$;

create function append(
  producer text, producer_epoch bigint,
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea, out first_offsets bigint[], out appended_at_ms bigint
)
  language plpgsql
  security definer
  set search_path = bus, pg_temp
  set plan_cache_mode = force_generic_plan
as $$
declare
  laid record;
begin
  perform from producers as p where p.name = producer and p.epoch = producer_epoch for share;
  if not found then
    raise exception using errcode = 'PBB01', message = 'a newer producer of this name has taken over';
  end if;
  laid := lay_down(part_topics, part_partitions, part_counts, record_parts, starts, key_bytes, header_bytes,
    value_bytes, payload);
  first_offsets := laid.first_offsets;
  appended_at_ms := laid.appended_at_ms;
end
$$;

create function append_within(
  part_topics integer[], part_partitions integer[], part_counts integer[],
  record_parts integer[], starts integer[], key_bytes integer[], header_bytes integer[], value_bytes integer[],
  payload bytea, out first_offsets bigint[], out appended_at_ms bigint
)
  language plpgsql
  security definer
  set search_path = bus, pg_temp
  set plan_cache_mode = force_generic_plan
as $$
declare
  laid record;
begin
  laid := lay_down(part_topics, part_partitions, part_counts, record_parts, starts, key_bytes, header_bytes,
    value_bytes, payload);
  first_offsets := laid.first_offsets;
  appended_at_ms := laid.appended_at_ms;
end
$$;

revoke execute on function lay_down from probity_bus;
grant execute on function append_within to probity_unit;
