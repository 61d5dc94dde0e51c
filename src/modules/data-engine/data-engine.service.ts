import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { DataEnginePort } from './data-engine.port.js';

@Injectable()
export class DataEngineService extends DataEnginePort {
  seal(): never {
    throw new ProbityError('INTERNAL', 'engine.seal is not built yet');
  }
  preview(): never {
    throw new ProbityError('INTERNAL', 'engine.preview is not built yet');
  }
}
