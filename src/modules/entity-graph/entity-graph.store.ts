import { Injectable } from '@nestjs/common';
import { Database } from '../../substrate/database/database.port.js';
import { CheckpointStore } from '../../substrate/projection/checkpoint.store.js';
import { GenerationsStore } from '../../substrate/projection/generations.store.js';

/** The schema `ieg`. */
@Injectable()
export class EntityGraphStore extends CheckpointStore {
  readonly generations: GenerationsStore;

  constructor(database: Database) {
    super(database, { superseded: 'IEG_SUPERSEDED', damaged: 'IEG_CHECKPOINT_DAMAGED' });
    this.generations = new GenerationsStore(database, this);
  }
}
