// A plugin of typedoc, for check_reference.ts: typedoc reads `@throws {TypeError} when ...` and shows
// all but the type, which is half of what it says.

/** What is used of typedoc's comments. */
interface Comment {
  readonly blockTags: readonly {
    readonly tag: string;
    readonly typeAnnotation?: string;
    readonly content: { kind: "code" | "text"; text: string }[];
  }[];
}

/** What is used of typedoc's application. */
interface Application {
  readonly converter: {
    on(
      event: "resolveBegin",
      listener: (context: {
        project: { reflections: Record<number, { readonly comment?: Comment }> };
      }) => void,
    ): void;
  };
}

/** Called by typedoc. */
export function load({ converter }: Application): void {
  converter.on("resolveBegin", ({ project }) => {
    for (const { comment } of Object.values(project.reflections)) {
      for (const { tag, typeAnnotation, content } of comment?.blockTags ?? []) {
        if (tag !== "@throws" || typeAnnotation === undefined) continue;
        const name = typeAnnotation.replace(/^\{|\}$/g, "");
        content.unshift({ kind: "code", text: `\`${name}\`` }, { kind: "text", text: " " });
      }
    }
  });
}
