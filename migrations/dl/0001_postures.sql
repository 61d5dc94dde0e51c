-- How much decisions may lean on: the posture of each scope, and how it came to be.

create table scopes (
  scope_key text primary key,
  -- The posture as it was last confirmed, and since when the way up has been free. The one row that decides; read by every process.
  posture jsonb,
  quiet_since timestamptz,
  posture_seq bigint not null default 0,
  -- Who evaluates: one process at a time, until its lease runs out.
  holder text,
  lease_until timestamptz
);
insert into scopes (scope_key) values ('GLOBAL');

-- Every material change, for ever.
create table postures (
  scope_key text not null,
  posture_seq bigint not null,
  posture jsonb not null,
  readings jsonb not null,
  decided_at timestamptz not null,
  primary key (scope_key, posture_seq)
);
select probity.make_append_only('dl.postures');

-- Changes that the control topic has not got yet. Working state: a row goes when the bus has answered.
create table outbox (
  scope_key text not null,
  posture_seq bigint not null,
  primary key (scope_key, posture_seq)
);
