// That the token stays out of what the command line says, at its most talkative.
import { writeFile } from "node:fs/promises";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";

const TOKEN = "s3cret-s3cret-s3cret";
const TRACE = ["--log-level", "trace"];

export const secretLogsSuite: Suite = ({ test }) => {
  test("logs: at trace level neither serve nor pull says the token, and each says what happens", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", {
        shards: 1,
        tensors: 2,
        tensorBytes: 200_001,
        seed: 1,
      });
      await writeFile(lab.path("token"), TOKEN);
      const secret = ["--token-file", lab.path("token")];
      const environment = { OLLAMA_LOG_LEVEL: "trace" };
      const server = lab.start(
        ["serve", source, ...secret, "--listen", "tcp://127.0.0.1:0", "--until-stdin-closes"],
        { environment },
      );
      const { urls } = await server.event("listening");
      const url = `${(urls as string[])[0]}/llama`;
      const pull = await lab.run(["pull", url, "-o", lab.path("out"), ...secret, ...TRACE]);
      doneOf(pull);
      const refused = await lab.run(["pull", url, "-o", lab.path("no"), ...TRACE], {
        environment: { HEADRACE_TOKEN: `${TOKEN}-not` },
      });
      errorOf(refused);
      await server.logged(/connection refused/);
      const { stderr } = await server.kill();
      assert.match(pull.stderr, / debug session: connection up remote=tcp:\/\//);
      assert.match(
        pull.stderr,
        / debug session: transfer complete id=[0-9a-f]{32} address=llama\//,
      );
      assert.match(stderr, / debug session: transfer begun .* direction=out/);
      const all = [stderr, pull.stderr, pull.stdout, refused.stderr, refused.stdout];
      for (const text of all) assert.notInclude(text, "s3cret");
    }));
};
