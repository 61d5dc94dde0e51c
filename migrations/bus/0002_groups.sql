-- Consumer groups. Who is a member, and who ought to have which partition. Who *has* it is told by session locks alone:
-- after a crash of the server all locks are gone, and these rows describe members that are found dead and buried.
--
-- Ordinary tables on purpose. Unlogged ones would do, but their indexes came back unreadable after a SIGKILL of the server
-- in databases that were cloned from a template; a pulse costs about 200 bytes of log instead, and is not waited for.

create table group_members (
  member_id bigint primary key,
  group_name text not null,
  topic_ids integer[] not null,
  session_timeout_ms integer not null,
  seen_at timestamptz not null default clock_timestamp()
) with (fillfactor = 30);
create index group_members_of on group_members (group_name);

-- `members`: those that the assignment of this generation was made for.
create table groups (
  group_name text primary key,
  generation bigint not null default 0,
  members bigint[] not null default '{}'
);

create table group_assignments (
  group_name text not null,
  topic_id integer not null,
  partition integer not null,
  member_id bigint not null,
  primary key (group_name, topic_id, partition)
);

create sequence member_ids;

-- Advisory locks have 64-bit names in one space for the whole database. Hashing a sentence into it makes a collision
-- with anybody else's lock as likely as one in 10^13 for a thousand locks; it would cost a stuck partition, not data.
create function member_key(member bigint) returns bigint
  language sql immutable
  return hashtextextended('probity bus member ' || member, 0);

create function partition_key(consumers text, topic integer, part integer) returns bigint
  language sql immutable
  return hashtextextended('probity bus partition ' || topic || ' ' || part || ' of ' || consumers, 0);

-- The lock comes before the row: whoever sees the row finds the lock taken, or the member dead.
create function join_group(consumers text, topics integer[], timeout_ms integer) returns bigint
  language plpgsql
  set search_path = bus, pg_temp
as $$
declare
  member bigint := nextval('member_ids');
begin
  perform pg_advisory_lock(member_key(member));
  insert into group_members (member_id, group_name, topic_ids, session_timeout_ms)
    values (member, consumers, topics, timeout_ms);
  return member;
end
$$;

-- A member lives while its session holds its lock and its pulse is fresh. Trying the lock is cheaper than reading
-- pg_locks, which stops all lockers of the database for a moment. Shared, so that several may try at once.
create function member_is_dead(member bigint, seen timestamptz, timeout_ms integer) returns boolean
  language plpgsql
  set search_path = bus, pg_temp
as $$
begin
  if seen < clock_timestamp() - make_interval(secs => timeout_ms / 1000.0) then
    return true;
  end if;
  if pg_try_advisory_lock_shared(member_key(member)) then
    perform pg_advisory_unlock_shared(member_key(member));
    return true;
  end if;
  return false;
end
$$;

-- A member's sign of life, from its own session, and what it must know in return: the generation, and whether somebody
-- must make another because members came, went or died. No row: the group has given this member up.
create function pulse(member bigint, consumers text) returns table (generation bigint, stale boolean)
  language plpgsql
  set search_path = bus, pg_temp
as $$
begin
  update group_members as m set seen_at = clock_timestamp() where m.member_id = member;
  if not found then
    return;
  end if;
  return query
    select coalesce(g.generation, 0),
      g.members is distinct from (
        select array_agg(m.member_id order by m.member_id) from group_members as m where m.group_name = consumers
      ) or exists (
        select from group_members as m
        where m.group_name = consumers and m.member_id <> member
          and member_is_dead(m.member_id, m.seen_at, m.session_timeout_ms)
      )
    from (select) as one left join groups as g on g.group_name = consumers;
end
$$;

-- Removes the dead. One that is silent but still holds its session (a frozen process) has its backend ended, so that its
-- locks go; the lock itself says which backend that is, a noted process id could by now be somebody else's.
create function bury_members(consumers text) returns void
  language plpgsql
  set search_path = bus, pg_temp
as $$
declare
  gone bigint;
begin
  for gone in
    delete from group_members as m
      where m.group_name = consumers and member_is_dead(m.member_id, m.seen_at, m.session_timeout_ms)
      returning m.member_id
  loop
    perform pg_terminate_backend(l.pid)
      from pg_locks as l
      where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
        and l.database = (select oid from pg_database where datname = current_database())
        and (l.classid::bigint << 32 | l.objid::bigint) = member_key(gone)
        and l.pid <> pg_backend_pid();
  end loop;
end
$$;

-- A new assignment is made in two steps, with the judgement of the program between them: read (this function, then the
-- members and who has what), and install, if nobody else was faster. No lock is held in between: a process that froze
-- while it held the group's row would stop the whole group for as long as the server lets a transaction idle.
create function read_group(consumers text) returns table (generation bigint, members bigint[])
  language plpgsql
  set search_path = bus, pg_temp
as $$
begin
  insert into groups (group_name) values (consumers) on conflict do nothing;
  perform bury_members(consumers);
  return query select g.generation, g.members from groups as g where g.group_name = consumers;
end
$$;

-- False when another generation has been installed since `seen`; assignments change with the generation alone.
create function install_assignment(
  consumers text, seen bigint, live bigint[], topics integer[], parts integer[], owners bigint[]
) returns boolean
  language plpgsql
  set search_path = bus, pg_temp
as $$
begin
  update groups as g set generation = g.generation + 1, members = live
    where g.group_name = consumers and g.generation = seen;
  if not found then
    return false;
  end if;
  delete from group_assignments as a where a.group_name = consumers;
  insert into group_assignments (group_name, topic_id, partition, member_id)
    select consumers, w.topic_id, w.partition, w.member_id
    from unnest(topics, parts, owners) as w (topic_id, partition, member_id);
  return true;
end
$$;

-- The last act of a member that goes in peace.
create function leave_group(member bigint) returns void
  language sql
  set search_path = bus, pg_temp
as $$
  delete from group_members where member_id = member;
  select pg_advisory_unlock_all();
$$;
