-- What was answered to a finding about many cases, for ever: asked for again under its key, it is answered the same.
create table bulk_findings (
  actor_id text not null,
  idempotency_key text not null,
  -- Digest of what was asked for: the same key with something else is a conflict.
  content text not null,
  answers jsonb not null,
  recorded_at timestamptz not null,
  primary key (actor_id, idempotency_key)
);
select probity.make_append_only('case_mgmt.bulk_findings');
