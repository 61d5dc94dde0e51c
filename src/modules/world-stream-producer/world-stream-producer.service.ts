import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { WorldStreamProducerPort } from './world-stream-producer.port.js';

@Injectable()
export class WorldStreamProducerService extends WorldStreamProducerPort {
  start(): never {
    throw new ProbityError('INTERNAL', 'wsp.start is not built yet');
  }
  pause(): never {
    throw new ProbityError('INTERNAL', 'wsp.pause is not built yet');
  }
  status(): never {
    throw new ProbityError('INTERNAL', 'wsp.status is not built yet');
  }
}
