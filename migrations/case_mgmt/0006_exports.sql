-- Who took cases out, which, and what for, for ever: written before a byte leaves.
create table exports (
  number bigint generated always as identity primary key,
  actor_id text not null,
  purpose text not null,
  filters jsonb not null,
  format text not null check (format in ('ndjson', 'csv')),
  outcome text not null check (outcome in ('GIVEN', 'REFUSED')),
  code text,
  -- The last entry of all timelines that it tells of.
  upto bigint not null,
  exported_at timestamptz not null
);
select probity.make_append_only('case_mgmt.exports');
