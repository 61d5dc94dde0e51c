import { defineErrors } from './error.js';

export const REPLAY_ERRORS = defineErrors({
  REPLAY_BASIS_UNRESOLVED: {
    status: 422,
    retryable: false,
    title: 'The basis names offsets that the log does not have.',
    remedy: 'Name offsets up to the high-water marks of the topics, or leave the basis out.',
  },
  REPLAY_BASIS_GAP: {
    status: 409,
    retryable: false,
    title: 'The bus no longer has all records of the basis.',
    remedy: 'Declare it anew with the source auto or archive, which reads what the bus has let go from the archive.',
  },
  REPLAY_BASIS_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'Bus and archive hold different records at one offset.',
    remedy:
      'The detail names the offset. Find out which of the two was changed before anything is rebuilt from either.',
  },
  REPLAY_DIVERGENCE: {
    status: 409,
    retryable: false,
    title: 'The log folded again is not the state that is served.',
    remedy:
      'The detail names the first run that differs. Look for invalid records and for what the state was loaded from; the new generation stands beside it.',
  },
  REPLAY_POLICY_CHANGED: {
    status: 409,
    retryable: false,
    title: 'Other definitions came into force while the state was rebuilt.',
    remedy: 'Declare the backfill anew.',
  },
  REPLAY_GENERATION_GONE: {
    status: 409,
    retryable: false,
    title: 'The generation was let go before it was used.',
    remedy: 'Declare the backfill anew; a later one, or other definitions, took its place.',
  },
  REPLAY_BUSY: {
    status: 409,
    retryable: true,
    title: 'Another generation of this state is being made.',
    remedy: 'Wait until the other backfill has ended; the job does so by itself.',
  },
  REPLAY_LIVE_BEHIND: {
    status: 503,
    retryable: true,
    title: 'The state that is served has not come to the basis yet.',
    remedy: 'Wait, and look at the lag of the unit; the job tries again by itself.',
  },
});
