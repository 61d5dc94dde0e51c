-- Actions that people asked for: how many of a case the gate has not answered, and which case an intent came from.
alter table cases add column actions_submitted integer not null default 0;
create index cases_with_actions_on_their_way on cases (number) where actions_submitted > 0;
create index timeline_intents on timeline ((event->>'intent_id')) where type = 'ACTION_SUBMITTED';
update cases set state = state || '{"actions": []}'::jsonb;
