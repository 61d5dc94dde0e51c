-- Deposits as they were taken: facts, never changed (law R7).
create table deposits (
  deposit_id text primary key,
  account text not null,
  minor_units bigint not null
);

select probity.make_append_only('deposits');
