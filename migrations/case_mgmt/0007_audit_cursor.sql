-- Behind which leaf of the audit log the quarantined records have become cases; moved in the transaction that opens them.
create table audit_cursor (
  single boolean primary key default true check (single),
  next_leaf bigint not null default 0
);
insert into audit_cursor default values;
