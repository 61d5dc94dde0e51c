-- Append-only tables (law R7). Two guards that fail independently: the rights are taken away, and triggers refuse what a
-- later GRANT by mistake would let through again.

-- Runs once per statement, so that even an UPDATE that matches no row is refused, and costs an INSERT nothing.
create function probity.refuse_change() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- The owner may: migrations, and functions that run with the owner's rights (retention of the bus). But a foreign key
  -- that cascades also runs as the owner, from within another table's trigger: a unit could delete facts by deleting
  -- what they refer to. Depth 1 means that the owner's own statement asked for it.
  if current_user = 'probity_owner' and pg_trigger_depth() = 1 then
    return null;
  end if;
  raise exception using
    errcode = 'PB001',
    message = format('%s on the append-only table %I.%I', tg_op, tg_table_schema, tg_table_name),
    schema = tg_table_schema,
    table = tg_table_name;
end
$$;

-- Makes a table append-only, for ever: there is no function that undoes it. Call it in the migration that creates the
-- table, and for a partitioned table again after each new partition.
create function probity.make_append_only(target regclass) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  part regclass;
  grantee text;
begin
  for part in
    select target union select relid from pg_partition_tree(target)
  loop
    for grantee in
      select distinct case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end
      from pg_class as c, aclexplode(c.relacl) as acl
      where c.oid = part and acl.grantee <> c.relowner
    loop
      execute format('revoke update, delete, truncate on table %s from %s', part, grantee);
    end loop;
    -- ALWAYS: neither replication nor a session that plays a replica passes by.
    execute format(
      'create or replace trigger refuse_change before update or delete or truncate on %s
         for each statement execute function probity.refuse_change()', part);
    execute format('alter table %s enable always trigger refuse_change', part);
  end loop;
end
$$;

comment on function probity.make_append_only(regclass) is
  'Refuses UPDATE, DELETE and TRUNCATE to everyone but the owner of migrations.';
