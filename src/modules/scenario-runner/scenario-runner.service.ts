import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { ScenarioRunnerPort } from './scenario-runner.port.js';

@Injectable()
export class ScenarioRunnerService extends ScenarioRunnerPort {
  request(): never {
    throw new ProbityError('INTERNAL', 'sr.request is not built yet');
  }
  run(): never {
    throw new ProbityError('INTERNAL', 'sr.run is not built yet');
  }
  runs(): never {
    throw new ProbityError('INTERNAL', 'sr.runs is not built yet');
  }
}
