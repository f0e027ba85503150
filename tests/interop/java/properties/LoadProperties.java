import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Properties;
import java.util.TreeMap;

/** Reads texts from standard input, each with a zero byte behind it, and prints what java.util.Properties makes of each. */
class LoadProperties {
    public static void main(String[] args) throws Exception {
        StringBuilder answers = new StringBuilder();
        String all = new String(System.in.readAllBytes(), StandardCharsets.ISO_8859_1);
        for (String text : all.split("\0")) {
            answers.append(answer(text.getBytes(StandardCharsets.ISO_8859_1))).append('\n');
        }
        System.out.print(answers);
    }

    /** Names and values in hexadecimal UTF-16, or why there are none. */
    private static String answer(byte[] text) throws Exception {
        Properties properties = new Properties();
        try {
            properties.load(new ByteArrayInputStream(text));
        } catch (IllegalArgumentException error) {
            return "malformed";
        }
        StringBuilder line = new StringBuilder();
        for (var entry : new TreeMap<Object, Object>(properties).entrySet()) {
            line.append(hex(entry.getKey())).append('=').append(hex(entry.getValue())).append(' ');
        }
        return line.toString().strip();
    }

    private static String hex(Object text) {
        return HexFormat.of().formatHex(((String) text).getBytes(StandardCharsets.UTF_16BE));
    }
}
