import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import { CheckpointStore } from '../../substrate/projection/checkpoint.store.js';

/** The schema `ieg`. */
@Injectable()
export class EntityGraphStore extends CheckpointStore {
  constructor(database: Database) {
    super(database, { superseded: 'IEG_SUPERSEDED', damaged: 'IEG_CHECKPOINT_DAMAGED' });
  }
}
