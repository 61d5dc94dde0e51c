-- What the ledger knows: one row per account, and how far it has read, written in the same transaction (law R5).
create table balances (
  account text primary key,
  minor_units bigint not null,
  deposits bigint not null
);

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);
