-- What happened in a case, for ever: the truth. `cases` is made from it and can be made again.
create table timeline (
  number bigint generated always as identity primary key,
  case_id text not null,
  -- From 1 within the case, without gaps.
  case_seq integer not null,
  case_event_id text not null unique,
  -- Digest of what was asked for: the same key with something else is a conflict.
  content text not null,
  type text not null,
  event jsonb not null,
  recorded_at timestamptz not null,
  unique (case_id, case_seq)
);
select probity.make_append_only('case_mgmt.timeline');

create table cases (
  number bigint generated always as identity primary key,
  case_id text not null unique,
  run_id text not null,
  status text not null,
  queue text not null,
  assignee text,
  label_state text not null,
  state jsonb not null,
  changed_at timestamptz not null
);
create index cases_by_queue on cases (queue, status, number);
create index cases_with_labels_on_their_way on cases (number) where label_state = 'PENDING';

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);
