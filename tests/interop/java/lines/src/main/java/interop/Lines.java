package interop;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Obeys commands from standard input, one a line: a name, then arguments, separated by blanks. Each is answered by one
 * line, "ok ANSWER" or "failed REASON". Whatever else would go to standard output goes to standard error.
 */
public final class Lines {
    /** What a command does with its arguments. */
    public interface Command {
        String run(List<String> arguments) throws Exception;
    }

    private Lines() {
    }

    /** Returns at the end of the input. */
    public static void serve(Map<String, Command> commands) throws IOException {
        PrintStream answers = System.out;
        System.setOut(System.err);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        answers.println("ok ready");
        for (String line; (line = input.readLine()) != null;) {
            answers.println(answer(commands, Arrays.asList(line.split(" "))));
        }
    }

    private static String answer(Map<String, Command> commands, List<String> words) {
        try {
            return "ok " + commands.get(words.get(0)).run(words.subList(1, words.size()));
        } catch (Exception error) {
            error.printStackTrace();
            return "failed " + error.toString().replaceAll("\\R", " ");
        }
    }
}
