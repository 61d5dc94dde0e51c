-- How far the labels of each run have been published. Working state: the labels themselves stand on the control topic, and are made again from
-- sealed rows.

create table feeds (
  run_id text primary key,
  pins jsonb not null,
  state text not null check (state in ('WAITING', 'PUBLISHING', 'DONE', 'NONE', 'REFUSED')),
  detail text,
  output_id text,
  rows_total bigint not null default 0,
  next_row bigint not null default 0,
  published bigint not null default 0,
  -- Who publishes: one process at a time, until its lease runs out.
  holder text,
  lease_until timestamptz,
  changed_at timestamptz not null
);

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);
